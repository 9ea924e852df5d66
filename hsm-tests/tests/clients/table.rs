//! Each client with each way out: one upload, one listing.

use crate::client::Client;
use crate::output::Output;
use crate::party::Party;
use crate::rig::Rig;

fn each_client(output: Output) {
    let rig = Rig::new();
    let outlet = output.open(&rig);
    let mut party = Party::new(&rig, &outlet);
    party.round();
    for (client, count) in party.access_keys() {
        assert_eq!(count, 1, "{output}: {client}");
    }
    party.finish();
    rig.assert_nothing_refused();
}

macro_rules! rows {
    ($($test:ident $output:ident)*) => {
        $(
            #[test]
            fn $test() {
                each_client(Output::$output);
            }
        )*
    };
}

rows! {
    library Library
    credential_process CredentialProcess
    container Container
    imds Imds
    credentials_file CredentialsFile
    exec Exec
    exec_serve ExecServe
    environment Environment
}

/// The day that one of them does, nobody has to put a token into its environment any more.
#[test]
fn some_read_no_token_file() {
    let rig = Rig::new();
    let mut outlet = Output::Container.open(&rig);
    outlet.only_token_file = true;
    let clients = Client::ALL.into_iter();
    for client in clients.filter(|client| client.wants_token_itself()) {
        let done = rig.start(client, &outlet).round("reading");
        assert!(done.is_err(), "{client}");
    }
}
