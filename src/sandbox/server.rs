//! Connections: accepted, with or without TLS, until the sandbox is stopped.

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::config::Config;
use super::exchange;
use super::record::Record;
use super::s3::S3;
use super::sessions::Sessions;

/// Enough for a leaf and five ML-DSA-87 certificates with their signature (PROTOCOL 1.9: about 70 KB).
const MAX_HEAD_LEN: usize = 256 * 1024;

/// All that requests share.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) sessions: Arc<Sessions>,
    pub(super) s3: S3,
    pub(super) record: Record,
    pub(super) request_count: AtomicU64,
}

impl Server {
    /// Accepts connections until `stop` is sent or dropped.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        mut stop: oneshot::Receiver<()>,
    ) {
        loop {
            let stream = tokio::select! {
                _ = &mut stop => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Too many open files, for instance: those that are open will end.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => server.serve(stream).await,
                    Some(tls) => {
                        // A client that does not trust the certificate says so itself.
                        if let Ok(stream) = tls.accept(stream).await {
                            server.serve(stream).await;
                        }
                    }
                }
            });
        }
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(|request| {
            let server = self.clone();
            async move { exchange::answer(&server, request).await }
        });
        let connection = http1::Builder::new()
            .max_buf_size(MAX_HEAD_LEN)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service);
        // What ends a connection early is the client's business, or a fault that was asked for.
        let _ = connection.await;
    }
}
