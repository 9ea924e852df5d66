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

/// How long a read waits for the other end.
const PATIENCE_TICKS: u32 = 60 * TICKS_PER_SECOND;

static TICKS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    TICKS.store(ticks().wrapping_add(1), Ordering::Relaxed);
}

fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

/// Milliseconds since the start.
pub fn uptime_ms() -> u32 {
    ticks().wrapping_mul(1000 / TICKS_PER_SECOND)
}

/// Seconds since the start.
pub fn uptime() -> u32 {
    ticks() / TICKS_PER_SECOND
}

/// Waits.
pub fn pause(ms: u32) {
    let start = uptime_ms();
    while uptime_ms().wrapping_sub(start) < ms {
        core::hint::spin_loop();
    }
}

/// Starts the clock.
pub fn start() {
    const CONTROL: *mut u32 = 0xe000_e010 as *mut u32;
    // Enabled, with its interrupt, by the processor's clock (Armv7-M, B3.3.3).
    const RUN: u32 = 0b111;
    // SAFETY: these are SysTick's registers CSR, RVR and CVR, which nothing else uses.
    unsafe {
        write_volatile(CONTROL.add(1), CORE_CLOCK / TICKS_PER_SECOND - 1);
        write_volatile(CONTROL.add(2), 0);
        write_volatile(CONTROL, RUN);
    }
}

/// A serial line.
pub struct Uart {
    registers: *mut u32,
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
        while !self.has_received() {
            if ticks().wrapping_sub(start) > PATIENCE_TICKS {
                return Err(ErrorKind::TimedOut);
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
