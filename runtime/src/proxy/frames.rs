//! The payloads of frames that come by: what a message says, without the headers between its pieces.
//!
//! A reader of nothing but payloads: what is no frame harms nobody, it is read as one all the same.

/// How a stream is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Frames of RFC 6455, section 5.2.
    WebSocket,
    /// Length-prefixed messages of gRPC: a byte of flags and the length in four.
    Grpc,
}

/// Whom a payload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// The application: a message, or part of one.
    Data,
    /// The protocol: pings and the like, which may come in between the parts of a message.
    Control,
}

/// Where in its frames a stream is.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    /// The header so far, where one is read.
    head: Vec<u8>,
    /// How much of the payload is to come.
    left: u64,
    channel: Channel,
    mask: Option<[u8; 4]>,
    /// How much of the payload came, for the mask.
    at: usize,
}

/// What a whole header says.
struct Header {
    length: u64,
    channel: Channel,
    mask: Option<[u8; 4]>,
}

impl Frames {
    /// At the beginning of a stream.
    pub(super) fn new(framing: Framing) -> Frames {
        Frames { framing, head: Vec::new(), left: 0, channel: Channel::Data, mask: None, at: 0 }
    }

    /// Takes in what comes next, and gives `payload` what is in it, without a mask.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut payload: impl FnMut(Channel, &[u8])) {
        loop {
            let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (inside, after) = bytes.split_at_checked(now).unwrap_or_default();
            if !inside.is_empty() {
                match self.mask {
                    None => payload(self.channel, inside),
                    Some(mask) => {
                        let key = mask.iter().cycle().skip(self.at % mask.len());
                        let plain: Vec<u8> = inside.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
                        payload(self.channel, &plain);
                        self.at += inside.len();
                    }
                }
                self.left -= inside.len() as u64;
            }
            let [next, rest @ ..] = after else { return };
            self.head.push(*next);
            bytes = rest;
            if let Some(Header { length, channel, mask }) = self.header() {
                (self.left, self.channel, self.mask, self.at) = (length, channel, mask, 0);
                self.head.clear();
            }
        }
    }

    fn header(&self) -> Option<Header> {
        match self.framing {
            Framing::Grpc => {
                let length = u32::from_be_bytes(*self.head.get(1..)?.first_chunk()?);
                Some(Header { length: length.into(), channel: Channel::Data, mask: None })
            }
            Framing::WebSocket => {
                let [first, second, rest @ ..] = &*self.head else { return None };
                let (length, rest) = match second & 0x7f {
                    126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), rest.get(2..)?),
                    127 => (u64::from_be_bytes(*rest.first_chunk()?), rest.get(8..)?),
                    short => (short.into(), rest),
                };
                // Servers must not mask. One that does all the same is understood by some clients.
                let mask = if second & 0x80 == 0 { None } else { Some(*rest.first_chunk()?) };
                let channel = if first & 0x08 == 0 { Channel::Data } else { Channel::Control };
                Some(Header { length, channel, mask })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payloads, however the bytes come in.
    #[track_caller]
    fn check(framing: Framing, bytes: &[u8], data: &[u8], control: &[u8]) {
        for size in 1..=bytes.len() {
            let mut frames = Frames::new(framing);
            let (mut of_data, mut of_control) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                frames.read(piece, |channel, payload| match channel {
                    Channel::Data => of_data.extend_from_slice(payload),
                    Channel::Control => of_control.extend_from_slice(payload),
                });
            }
            assert_eq!((&*of_data, &*of_control), (data, control), "in pieces of {size}");
        }
    }

    #[test]
    fn the_parts_of_a_message_are_one_and_a_ping_between_them_is_none() {
        check(Framing::WebSocket, b"\x01\x02se\x89\x03yes\x80\x04cret\x88\x00", b"secret", b"yes");
    }

    #[test]
    fn lengths_of_every_size_are_read() {
        let long = vec![b'x'; 70_000];
        let wide = [&b"\x82\x7f\0\0\0\0\0\x01\x11\x70"[..], &long, b"\x81\x01y"].concat();
        check_at_once(&wide, &[&*long, b"y"].concat());
        let middle = [&b"\x82\x7e\x01\x00"[..], long.get(..256).unwrap(), b"\x81\x01y"].concat();
        check_at_once(&middle, &[&long[..256], b"y"].concat());
    }

    #[track_caller]
    fn check_at_once(bytes: &[u8], data: &[u8]) {
        let (mut frames, mut found) = (Frames::new(Framing::WebSocket), Vec::new());
        frames.read(bytes, |_, payload| found.extend_from_slice(payload));
        assert!(found == data);
    }

    #[test]
    fn a_mask_is_taken_off() {
        check(Framing::WebSocket, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", b"Hello", b"");
    }

    #[test]
    fn messages_of_grpc_are_one_after_the_other() {
        check(Framing::Grpc, b"\0\0\0\0\x03sec\0\0\0\0\0\x01\0\0\0\x03ret", b"secret", b"");
    }
}
