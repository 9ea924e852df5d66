//! Each client with each way out: one upload, one listing.

use std::thread;

use crate::client::Client;
use crate::output::Output;
use crate::rig::Rig;

fn each_client(output: Output) {
    let rig = Rig::new();
    let failures = thread::scope(|scope| {
        let clients = Client::ALL.into_iter();
        let clients = clients.filter(|client| output.not_for(*client).is_none());
        let running: Vec<_> = clients
            .map(|client| {
                scope.spawn({
                    let rig = &rig;
                    move || one_round(rig, client, output)
                })
            })
            .collect();
        let ended = running.into_iter().map(|thread| thread.join().unwrap());
        ended.filter_map(Result::err).collect::<Vec<_>>()
    });
    assert!(failures.is_empty(), "{failures:#?}");
    rig.assert_nothing_refused();
}

fn one_round(rig: &Rig, client: Client, output: Output) -> Result<(), String> {
    let mut running = rig.start(client, output);
    running.round(&format!("{client}/reading"))?;
    running.finish()?;
    match rig.uploads(client).len() {
        1 => Ok(()),
        count => Err(format!("{client}: {count} uploads")),
    }
}

#[test]
fn credential_process() {
    each_client(Output::CredentialProcess);
}
