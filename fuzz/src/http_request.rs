//! What our own HTTP server hears.

use core::mem::MaybeUninit;

use keystead::output::http::{Limits, RestOfBody, parse};

/// Requests, one after the other. The first byte is the size of the pieces that their bodies come in.
pub fn http_request(data: &[u8]) {
    let Some((&piece, mut requests)) = data.split_first() else {
        return;
    };
    let piece = usize::from(piece).max(1);
    let limits = Limits::default();
    loop {
        let mut room = [const { MaybeUninit::uninit() }; Limits::MAX_HEADERS];
        let head = match parse(requests, &mut room, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(refusal) => {
                assert!((400..=505).contains(&refusal.status));
                return;
            }
        };
        assert!(head.len <= requests.len() && head.len <= limits.head);
        assert!(head.path.starts_with('/') && head.path.is_ascii());
        assert!(head.headers.all("host").count() <= 1);
        let body = &requests[head.len..];
        let whole = RestOfBody::new(head.framing, &limits).skip(body);
        assert_eq!(
            in_pieces(RestOfBody::new(head.framing, &limits), body, piece),
            whole
        );
        let Ok(Some(len)) = whole else {
            return;
        };
        assert!(len <= limits.body);
        requests = &body[len..];
    }
}

fn in_pieces(
    mut rest: RestOfBody,
    body: &[u8],
    piece: usize,
) -> Result<Option<usize>, keystead::output::http::Refusal> {
    // A body of no bytes ends without one.
    let pieces = core::iter::once(&body[..0]).chain(body.chunks(piece));
    let mut before = 0;
    for piece in pieces {
        if let Some(len) = rest.skip(piece)? {
            return Ok(Some(before + len));
        }
        before += piece.len();
    }
    Ok(None)
}
