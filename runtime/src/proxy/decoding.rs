//! Decodes the bodies of responses as they come in (RFC 9110, section 8.4.1), in steps of bounded size.
//!
//! A step gives out some 32 KiB, whatever was put in: of a body that stands for gigabytes only a window is kept.

use std::io::{self, Read, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::{GzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::coding::{Coding, Malformed};

/// What a step gives out at most, and a little more for what a decoder has in store.
const STEP_BYTES: usize = 32 * 1024;

/// The largest window that is kept of `zstd`: what RFC 9659 allows. That of `br` is 16 MiB at most by its format.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// How many responses are decoded at a time whose window may be of this size. Servers are not asked for `zstd`, and `br`
/// is usually written with a window of 4 MiB or less.
static PLACES: Semaphore = Semaphore::const_new(64);

/// Whether there is more to come of what was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// The next step gives more, even without further input.
    Yes,
    /// Not before there is further input.
    No,
}

/// Too many responses with large windows are being decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many encoded responses at a time")]
pub struct Busy;

/// One decoder after the other, the last coding first.
#[derive(Debug, Default)]
pub struct Stages(Vec<Stage>);

struct Stage {
    decoder: Decoder,
    /// What it is to decode next.
    input: Vec<u8>,
    /// Whether anything came in: an empty body is one in every encoding.
    begun: bool,
    /// Whether it has more to give of what came in.
    more: bool,
    _place: Option<SemaphorePermit<'static>>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

enum Decoder {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    ended: bool,
}

struct Zstd {
    decoder: FrameDecoder,
    /// Whether the frame's header was read, and says that a checksum follows the last block.
    checksum: Option<bool>,
    held: Vec<u8>,
}

impl Stages {
    /// For these codings, in the order in which they were applied.
    ///
    /// # Errors
    /// [`Busy`]: at another time there is a place.
    pub fn new(codings: &[Coding]) -> Result<Stages, Busy> {
        let stage = |coding: &Coding| {
            let place = match coding {
                Coding::Gzip | Coding::Deflate => None,
                Coding::Brotli | Coding::Zstd => Some(PLACES.try_acquire().map_err(|_| Busy)?),
            };
            Ok(Stage { decoder: Decoder::new(*coding), input: Vec::new(), begun: false, more: false, _place: place })
        };
        codings.iter().rev().map(stage).collect::<Result<_, Busy>>().map(Stages)
    }

    /// Whether there is nothing to decode.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in some of `input` and appends some of what it stands for.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn advance(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<More, Malformed> {
        // What a later stage has in store comes before anything new is taken in, so that nothing piles up.
        let busy = self.0.iter().skip(1).rposition(Stage::busy).map(|at| at + 1);
        let decoded = match busy.and_then(|at| self.0.get_mut(at)) {
            Some(stage) => stage.step_own()?,
            None => match self.0.first_mut() {
                Some(first) => first.step(input)?,
                None => Vec::new(),
            },
        };
        self.hand_on(busy.unwrap_or(0), decoded, out);
        Ok(if input.is_empty() && !self.0.iter().any(Stage::busy) { More::No } else { More::Yes })
    }

    /// Gives what a stage decoded to the next one, or out.
    fn hand_on(&mut self, at: usize, decoded: Vec<u8>, out: &mut Vec<u8>) {
        match self.0.get_mut(at + 1) {
            Some(next) => next.input.extend_from_slice(&decoded),
            None => out.extend_from_slice(&decoded),
        }
    }

    /// At the end, when there was no more to come.
    ///
    /// # Errors
    /// [`Malformed`] for an encoding that has not ended.
    pub fn finish(&mut self) -> Result<(), Malformed> {
        self.0.iter_mut().filter(|stage| stage.begun).try_for_each(|stage| stage.decoder.finish())
    }
}

impl Stage {
    /// Whether there is something to do without anything new.
    fn busy(&self) -> bool {
        self.more || !self.input.is_empty()
    }

    /// Decodes some of what was handed on to it.
    fn step_own(&mut self) -> Result<Vec<u8>, Malformed> {
        let input = std::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let decoded = self.step(&mut rest)?;
        self.input = rest.to_vec();
        Ok(decoded)
    }

    /// Decodes some of `input`.
    fn step(&mut self, input: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
        self.begun |= !input.is_empty();
        let mut decoded = Vec::new();
        let Step { taken, more } = self.decoder.step(input, &mut decoded)?;
        *input = input.get(taken..).unwrap_or_default();
        self.more = more == More::Yes;
        Ok(decoded)
    }
}

/// How far a step got.
struct Step {
    /// How much of the input it took.
    taken: usize,
    /// Whether another step gives more even without further input.
    more: More,
}

impl Decoder {
    fn new(coding: Coding) -> Decoder {
        let alloc = StandardAlloc::default;
        match coding {
            Coding::Gzip => Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Coding::Deflate => Decoder::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            // Strict: without the large windows that RFC 7932 does not know.
            Coding::Brotli => Decoder::Brotli(Box::new(Brotli {
                state: BrotliState::new_strict(alloc(), alloc(), alloc()),
                ended: false,
            })),
            Coding::Zstd => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(MAX_WINDOW_BYTES);
                Decoder::Zstd(Box::new(Zstd { decoder, checksum: None, held: Vec::new() }))
            }
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Malformed> {
        match self {
            Decoder::Gzip(decoder) => {
                let step = written(decoder.as_mut(), input)?;
                out.append(decoder.get_mut());
                Ok(step)
            }
            Decoder::Deflate(decoder) => {
                let step = written(decoder.as_mut(), input)?;
                out.append(decoder.get_mut());
                Ok(step)
            }
            Decoder::Brotli(brotli) => brotli.step(input, out),
            Decoder::Zstd(zstd) => zstd.step(input, out),
        }
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        match self {
            Decoder::Gzip(decoder) => decoder.try_finish().map_err(|_| Malformed),
            Decoder::Deflate(decoder) => decoder.try_finish().map_err(|_| Malformed),
            Decoder::Brotli(brotli) => brotli.ended.then_some(()).ok_or(Malformed),
            Decoder::Zstd(zstd) => {
                let ended = zstd.checksum.is_some() && zstd.decoder.is_finished() && zstd.held.is_empty();
                ended.then_some(()).ok_or(Malformed)
            }
        }
    }
}

/// Puts some of `input` into a decoder, and gets out what it stands for.
fn written(decoder: &mut impl Write, input: &[u8]) -> Result<Step, Malformed> {
    let taken = decoder.write(input).map_err(|_| Malformed)?;
    if taken == 0 && !input.is_empty() {
        // It has ended, and there is more.
        return Err(Malformed);
    }
    if taken == input.len() {
        let flushed: io::Result<()> = decoder.flush();
        flushed.map_err(|_| Malformed)?;
    }
    Ok(Step { taken, more: More::No })
}

impl Brotli {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Malformed> {
        if self.ended {
            return if input.is_empty() { Ok(Step { taken: 0, more: More::No }) } else { Err(Malformed) };
        }
        let mut block = vec![0; STEP_BYTES];
        let (mut left, mut at, mut room, mut written, mut total) = (input.len(), 0, block.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut room,
            &mut written,
            &mut block,
            &mut total,
            &mut self.state,
        );
        out.extend_from_slice(block.get(..written).unwrap_or_default());
        let more = match result {
            BrotliResult::NeedsMoreOutput => More::Yes,
            BrotliResult::NeedsMoreInput => More::No,
            BrotliResult::ResultSuccess => {
                self.ended = true;
                More::No
            }
            BrotliResult::ResultFailure => return Err(Malformed),
        };
        Ok(Step { taken: at, more })
    }
}

impl Zstd {
    /// The longest header of a frame (RFC 8878, section 3.1.1).
    const HEADER_BYTES: usize = 18;
    /// The largest block with what stands around it (section 3.1.1.2).
    const BLOCK_BYTES: usize = 3 + (128 << 10) + 4;

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Malformed> {
        let taken = input.len().min(Zstd::BLOCK_BYTES.saturating_sub(self.held.len()));
        self.held.extend_from_slice(input.get(..taken).unwrap_or_default());
        if self.checksum.is_none() {
            self.header()?;
        }
        // A block of a few bytes may stand for 128 KiB, so the next one waits until that was given out.
        let ready = self.checksum.is_some() && !self.decoder.is_finished() && self.decoder.can_collect() == 0;
        let decoded = ready && self.block()?;
        if self.decoder.is_finished() && self.checksum.is_some() && !self.held.is_empty() {
            return Err(Malformed);
        }
        let mut block = vec![0; STEP_BYTES];
        let given = self.decoder.read(&mut block).map_err(|_| Malformed)?;
        out.extend_from_slice(block.get(..given).unwrap_or_default());
        Ok(Step { taken, more: if decoded || given > 0 { More::Yes } else { More::No } })
    }

    /// Reads the frame's header if it is there as a whole.
    fn header(&mut self) -> Result<(), Malformed> {
        let mut rest = self.held.as_slice();
        match self.decoder.init(&mut rest) {
            Ok(()) => {
                let read = self.held.len() - rest.len();
                self.checksum = self.held.get(4).map(|descriptor| descriptor & 4 != 0);
                self.held.drain(..read);
                Ok(())
            }
            Err(_) if self.held.len() < Zstd::HEADER_BYTES => Ok(()),
            Err(_) => Err(Malformed),
        }
    }

    /// Decodes the next block if it is there as a whole; gives whether it was.
    fn block(&mut self) -> Result<bool, Malformed> {
        let [first, second, third, ..] = self.held.as_slice() else { return Ok(false) };
        let header = u32::from_le_bytes([*first, *second, *third, 0]);
        let (last, run, size) = (header & 1 != 0, header >> 1 & 3 == 1, (header >> 3) as usize);
        let checksum = if last && self.checksum == Some(true) { 4 } else { 0 };
        let whole = 3 + if run { 1 } else { size } + checksum;
        if whole > Zstd::BLOCK_BYTES {
            return Err(Malformed);
        }
        if self.held.len() < whole {
            return Ok(false);
        }
        let mut rest = self.held.as_slice();
        self.decoder.decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| Malformed)?;
        let read = self.held.len() - rest.len();
        self.held.drain(..read);
        Ok(true)
    }
}

#[cfg(test)]
#[path = "decoding_tests.rs"]
pub(super) mod tests;
