//! All clients of one way out, which go on together.

use std::thread;

use crate::client::{Client, Running};
use crate::output::Outlet;
use crate::rig::Rig;

/// The clients.
pub struct Party<'a> {
    rig: &'a Rig,
    outlet: &'a Outlet,
    members: Vec<Member>,
}

struct Member {
    client: Client,
    running: Option<Running>,
    rounds: usize,
}

impl<'a> Party<'a> {
    pub fn new(rig: &'a Rig, outlet: &'a Outlet) -> Self {
        let members = outlet.output.clients().map(|client| Member {
            client,
            running: None,
            rounds: 0,
        });
        Self {
            rig,
            outlet,
            members: members.collect(),
        }
    }

    /// Has every client upload and list once, all at the same time.
    #[track_caller]
    pub fn round(&mut self) {
        self.round_of(|_| true);
    }

    /// The same for those that are one process which makes many requests: they ask for credentials at every
    /// one of them.
    #[track_caller]
    pub fn quick_round(&mut self) {
        let output = self.outlet.output;
        self.round_of(|client| client.stays() && output.fixed(client).is_none());
    }

    #[track_caller]
    fn round_of(&mut self, takes_part: impl Fn(Client) -> bool) {
        let (rig, outlet) = (self.rig, self.outlet);
        let members = self.members.iter_mut();
        let members = members.filter(|member| takes_part(member.client));
        let failures: Vec<_> = thread::scope(|scope| {
            let rounds: Vec<_> = members
                .map(|member| scope.spawn(|| member.round(rig, outlet)))
                .collect();
            let rounds = rounds.into_iter();
            let ended = rounds.map(|round| round.join().expect("it does not panic"));
            ended.filter_map(Result::err).collect()
        });
        assert!(failures.is_empty(), "{}: {failures:#?}", outlet.output);
    }

    /// How many access keys each has uploaded with.
    pub fn access_keys(&self) -> Vec<(Client, usize)> {
        let clients = self.members.iter().map(|member| member.client);
        clients
            .map(|client| (client, self.rig.access_keys(client).len()))
            .collect()
    }

    /// Ends them all.
    #[track_caller]
    pub fn finish(self) {
        for member in self.members {
            let ended = member.running.map_or(Ok(()), Running::finish);
            ended.unwrap_or_else(|error| panic!("{}: {error}", self.outlet.output));
        }
    }
}

impl Member {
    fn round(&mut self, rig: &Rig, outlet: &Outlet) -> Result<(), String> {
        let running = self.running.take();
        let mut running = running.unwrap_or_else(|| rig.start(self.client, outlet));
        running.round(&format!("{}/{}", self.client, self.rounds))?;
        self.rounds += 1;
        if outlet.output.fixed(self.client).is_some() {
            return running.finish();
        }
        self.running = Some(running);
        Ok(())
    }
}
