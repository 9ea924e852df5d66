//! A hub whose link goes down, and whose names are not known for a while: `keystead spool run` goes on as soon as the
//! kernel tells of a network, and needs nothing but the names of the bucket's own host.

use hsm_tests::alone;
use hsm_tests::processes::await_that;
use hsm_tests::s3::Server as _;

use crate::network::{Names, Network, surroundings};
use crate::rig::Rig;
use crate::spool::{Running, add, entries};

#[test]
fn what_was_accepted_offline_is_delivered_when_the_link_comes_up() {
    alone(surroundings, |folder| {
        let network = Network::new(folder);
        let rig = Rig::new();
        let url = format!("http://s3.test:{}", network.server.port());
        let options = ["--virtual-host", "--allow-http"];
        network.names(Names::Silent);
        add(&rig, "first", b"21.5", "offline/");
        let running = Running::start(&rig, &url, network.server.writer(), &options);
        network.names(Names::Failing);
        network.link("up");
        add(&rig, "second", b"22.0", "offline/");
        network.names(Names::Known);
        await_that("both objects", || entries(&rig) == 0);

        // Another outage, this time with a connection that was open.
        network.link("down");
        add(&rig, "third", b"22.5", "offline/");
        network.link("up");
        await_that("the third object", || entries(&rig) == 0);
        assert!(!running.kill().contains("panicked"));
        let objects = network.server.stored("offline");
        assert_eq!(objects, ["first", "second", "third"]);
    });
}
