//! Commands and responses of ISO 7816-4: chained commands, long responses in pieces.

/// A status word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    pub const OK: Self = Self(0x9000);
    pub const MEMORY_FAILURE: Self = Self(0x6581);
    pub const WRONG_LENGTH: Self = Self(0x6700);
    pub const SECURITY_STATUS: Self = Self(0x6982);
    pub const BLOCKED: Self = Self(0x6983);
    pub const CONDITIONS: Self = Self(0x6985);
    pub const WRONG_DATA: Self = Self(0x6a80);
    pub const NOT_FOUND: Self = Self(0x6a82);
    pub const WRONG_PARAMETERS: Self = Self(0x6a86);
    pub const REFERENCE_NOT_FOUND: Self = Self(0x6a88);
    pub const UNKNOWN_INSTRUCTION: Self = Self(0x6d00);

    /// A reference was wrong; so many tries are left.
    pub const fn tries_left(tries: u8) -> Self {
        Self(0x63c0 | tries as u16)
    }
}

/// A command.
#[derive(Debug, Clone, Default)]
pub struct Command {
    pub instruction: u8,
    pub p1: u8,
    pub p2: u8,
    pub data: Vec<u8>,
}

/// What answers commands.
pub trait Answer {
    fn answer(&mut self, command: &Command) -> Result<Vec<u8>, Status>;
}

/// Puts commands together and takes responses apart.
#[derive(Default)]
pub struct Exchange {
    /// The data of the commands of an unfinished chain.
    chained: Vec<u8>,
    /// What is left of the response.
    rest: Vec<u8>,
}

/// CLA: more commands of this chain follow.
const CHAINING: u8 = 0x10;
const GET_RESPONSE: u8 = 0xc0;

impl Exchange {
    pub fn execute(&mut self, message: &[u8], card: &mut impl Answer) -> Vec<u8> {
        let Some((header, data, expected)) = parse(message) else {
            return respond(&[], Status::WRONG_LENGTH);
        };
        let [class, instruction, p1, p2] = header;
        if instruction == GET_RESPONSE {
            return self.piece(expected);
        }
        self.rest.clear();
        self.chained.extend_from_slice(data);
        if class & CHAINING != 0 {
            return respond(&[], Status::OK);
        }
        let command = Command {
            instruction,
            p1,
            p2,
            data: std::mem::take(&mut self.chained),
        };
        match card.answer(&command) {
            Ok(response) => {
                self.rest = response;
                self.piece(expected)
            }
            Err(status) => respond(&[], status),
        }
    }

    fn piece(&mut self, expected: usize) -> Vec<u8> {
        let length = self.rest.len().min(expected);
        let piece: Vec<u8> = self.rest.drain(..length).collect();
        let status = match self.rest.len() {
            0 => Status::OK,
            left => Status(0x6100 | u16::try_from(left).unwrap_or(0).min(0xff)),
        };
        respond(&piece, status)
    }
}

fn respond(data: &[u8], status: Status) -> Vec<u8> {
    [data, &status.0.to_be_bytes()].concat()
}

/// Header, data and the length that is expected at most (ISO 7816-4 section 5.2).
fn parse(message: &[u8]) -> Option<([u8; 4], &[u8], usize)> {
    let (header, body) = message.split_first_chunk::<4>()?;
    let short = |byte: u8| if byte == 0 { 256 } else { usize::from(byte) };
    let long = |bytes: [u8; 2]| match u16::from_be_bytes(bytes) {
        0 => 65_536,
        length => usize::from(length),
    };
    let (data, expected) = match *body {
        [] => (&body[..0], 256),
        [le] => (&body[..0], short(le)),
        [0, a, b] => (&body[..0], long([a, b])),
        [0, a, b, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(u16::from_be_bytes([a, b])))?;
            let expected = match *le {
                [] => 65_536,
                [a, b] => long([a, b]),
                _ => return None,
            };
            (data, expected)
        }
        [lc, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(lc))?;
            let expected = match *le {
                [] => 256,
                [le] => short(le),
                _ => return None,
            };
            (data, expected)
        }
    };
    Some((*header, data, expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Answer for Echo {
        fn answer(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
            Ok(command.data.clone())
        }
    }

    #[test]
    fn every_form_of_a_command_is_understood() {
        let header = [0, 0xcb, 0x3f, 0xff];
        for (body, data, expected) in [
            (&[][..], &[][..], 256),
            (&[7], &[], 7),
            (&[0], &[], 256),
            (&[2, 8, 9], &[8, 9], 256),
            (&[2, 8, 9, 5], &[8, 9], 5),
            (&[0, 1, 0], &[], 256),
            (&[0, 0, 2, 8, 9], &[8, 9], 65_536),
            (&[0, 0, 2, 8, 9, 1, 1], &[8, 9], 257),
        ] {
            let message = [&header[..], body].concat();
            assert_eq!(parse(&message), Some((header, data, expected)), "{body:?}");
        }
        for wrong in [&[0, 0xcb][..], &[0, 0xcb, 0x3f, 0xff, 3, 1]] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn chained_commands_are_one_and_long_responses_come_in_pieces() {
        let mut exchange = Exchange::default();
        let part = |class: u8| [&[class, 0x87, 0, 0, 200][..], &[class; 200]].concat();
        assert_eq!(exchange.execute(&part(0x10), &mut Echo), [0x90, 0]);
        let first = exchange.execute(&part(0), &mut Echo);
        assert_eq!(first.len(), 258);
        assert_eq!(first[256..], [0x61, 144]);
        let second = exchange.execute(&[0, GET_RESPONSE, 0, 0, 0], &mut Echo);
        assert_eq!(second, [&[0; 144][..], &[0x90, 0]].concat());
        assert_eq!(first[..200], [0x10; 200]);
    }
}
