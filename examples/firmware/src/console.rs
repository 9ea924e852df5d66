//! What people and the bridge read, and what is left to say when nothing else works.

use core::fmt::{self, Write as _};
use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::board::Uart;

/// A line for people; the console has no end that could fail.
pub fn say(console: &mut Uart, line: fmt::Arguments<'_>) {
    let _ = console.write_fmt(line);
    let _ = console.write_str("\r\n");
}

/// A number of bytes, as the bridge reads it.
pub fn figure(console: &mut Uart, name: &str, bytes: usize) {
    say(console, format_args!("figure {name}: {bytes}"));
}

/// A panic, where it ends the program at once: its place is to be looked up in the image.
// SAFETY: cortex-m-rt wants a handler of this exception declared so. It uses nothing but the console's registers.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let console = &mut Uart::console();
    say(console, format_args!("stopped at {:#x}", frame.pc()));
    say(console, format_args!("fault"));
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // Without the message, whose formatting costs more flash than all the rest of this program's.
    let line = info.location().map_or(0, |place| place.line());
    say(
        &mut Uart::console(),
        format_args!("panicked in line {line}"),
    );
    loop {
        core::hint::spin_loop();
    }
}
