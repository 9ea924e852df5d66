//! The board MPS2 with the image AN386, as QEMU has it: UARTs (Arm's CMSDK APB UART) and the Cortex-M's SysTick.
//!
//! Everything here is polled. That loses nothing under QEMU; on a real line, received bytes are taken by an
//! interrupt or DMA.

use core::fmt;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m_rt::exception;
use embedded_io::{ErrorKind, ErrorType, Read, Write};

/// The processor's clock, Hz.
const CORE_CLOCK: u32 = 25_000_000;

const TICKS_PER_SECOND: u32 = 100;

/// A line on which nothing has come for so long is silent: a byte takes less than a tenth of a millisecond.
const SILENCE_MS: u32 = 100;

static TICKS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    TICKS.store(ticks().wrapping_add(1), Ordering::Relaxed);
}

fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

/// Whether so much time has passed since a tick, and the rest of that tick.
fn has_passed(since: u32, ms: u32) -> bool {
    ticks().wrapping_sub(since) > ms / (1000 / TICKS_PER_SECOND)
}

/// Milliseconds since the start.
pub fn uptime_ms() -> u32 {
    ticks().wrapping_mul(1000 / TICKS_PER_SECOND)
}

/// Seconds since the start.
pub fn uptime() -> u32 {
    ticks() / TICKS_PER_SECOND
}

/// Cycles of the processor since the start, as far as they fit: another number each time.
pub fn instant() -> u32 {
    // SAFETY: this is SysTick's CVR, which counts down; nothing writes to it but `start`.
    let left = unsafe { read_volatile(SYSTICK.add(2)) };
    let period = CORE_CLOCK / TICKS_PER_SECOND;
    ticks().wrapping_mul(period).wrapping_add(period - left)
}

/// Waits.
pub fn pause(ms: u32) {
    let start = uptime_ms();
    while uptime_ms().wrapping_sub(start) < ms {
        sleep();
    }
}

/// Sleeps until the next tick.
fn sleep() {
    // SAFETY: the processor stands still until an interrupt comes, of which SysTick's does.
    unsafe { core::arch::asm!("wfi", options(nomem, nostack, preserves_flags)) };
}

/// SysTick's registers CSR, RVR and CVR (Armv7-M, B3.3).
const SYSTICK: *mut u32 = 0xe000_e010 as *mut u32;

/// Starts the clock.
pub fn start() {
    // Enabled, with its interrupt, by the processor's clock (Armv7-M, B3.3.3).
    const RUN: u32 = 0b111;
    // SAFETY: nothing else writes to these.
    unsafe {
        write_volatile(SYSTICK.add(1), CORE_CLOCK / TICKS_PER_SECOND - 1);
        write_volatile(SYSTICK.add(2), 0);
        write_volatile(SYSTICK, RUN);
    }
}

/// A serial line.
pub struct Uart {
    registers: *mut u32,
    patience: Patience,
    /// When it was begun to wait, in ticks.
    since: u32,
}

/// How long is waited for the other end of a line, in milliseconds.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For a next byte.
    pub silence: u32,
    /// For all of an answer, however steadily it comes: there may be no end to it.
    pub whole: u32,
}

// Places of the registers, in words, and bits of STATE.
const DATA: usize = 0;
const STATE: usize = 1;
const CONTROL: usize = 2;
const BAUD_DIVISOR: usize = 4;
const IS_FULL: u32 = 1 << 0;
const HAS_RECEIVED: u32 = 1 << 1;

impl Uart {
    /// The line to the bridge.
    pub fn link() -> Self {
        Self::at(0x4000_4000)
    }

    /// The line to a secure element.
    #[cfg(not(feature = "software-key"))]
    pub fn element() -> Self {
        Self::at(0x4000_5000)
    }

    /// The line for people.
    pub fn console() -> Self {
        Self::at(0x4000_6000)
    }

    fn at(address: usize) -> Self {
        const BAUD: u32 = 115_200;
        let mut uart = Self {
            registers: address as *mut u32,
            // Whoever reads says how long.
            patience: Patience {
                silence: 0,
                whole: 0,
            },
            since: 0,
        };
        uart.set(BAUD_DIVISOR, CORE_CLOCK / BAUD);
        // Sends and receives.
        uart.set(CONTROL, 0b11);
        uart
    }

    fn get(&self, register: usize) -> u32 {
        // SAFETY: the constructors give addresses of UARTs, which have these registers.
        unsafe { read_volatile(self.registers.add(register)) }
    }

    fn set(&mut self, register: usize, value: u32) {
        // SAFETY: as above.
        unsafe { write_volatile(self.registers.add(register), value) }
    }

    fn has_received(&self) -> bool {
        self.get(STATE) & HAS_RECEIVED != 0
    }

    /// From now on waits so long.
    pub fn begin(&mut self, patience: Patience) {
        self.patience = patience;
        self.since = ticks();
    }

    /// Reads away what comes, until nothing does any more; `false` if there is no end to it.
    pub fn drain(&mut self) -> bool {
        let mut quiet = ticks();
        while !has_passed(quiet, SILENCE_MS) {
            if self.has_received() {
                self.get(DATA);
                quiet = ticks();
            }
            if has_passed(self.since, self.patience.whole) {
                return false;
            }
        }
        true
    }

    fn send(&mut self, byte: u8) {
        while self.get(STATE) & IS_FULL != 0 {}
        self.set(DATA, byte.into());
    }
}

impl ErrorType for Uart {
    type Error = ErrorKind;
}

impl Read for Uart {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let start = ticks();
        loop {
            if has_passed(self.since, self.patience.whole) {
                return Err(ErrorKind::TimedOut);
            }
            if self.has_received() {
                break;
            }
            if has_passed(start, self.patience.silence) {
                return Err(ErrorKind::TimedOut);
            }
            // The next byte of an answer comes at once; the first one takes its time.
            if ticks() != start {
                sleep();
            }
        }
        let mut len = 0;
        for byte in out {
            if !self.has_received() {
                break;
            }
            *byte = self.get(DATA) as u8;
            len += 1;
        }
        Ok(len)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        bytes.iter().for_each(|&byte| self.send(byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Text for people.
impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}
