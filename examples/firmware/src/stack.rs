//! How much stack is used: it is painted, and later one looks how far the paint has come off.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

unsafe extern "C" {
    /// The start of RAM, from the linker script.
    static _ram_start: u32;
    /// The lowest word that the stack may take, behind the statics.
    static mut _stack_end: u32;
    /// The end of RAM, where the stack begins.
    static _stack_start: u32;
}

const PAINT: u32 = 0x5afe_57ac;

/// Bytes below this function's own frame that are left alone.
const RED_ZONE: usize = 128;

/// Paints what is free of the stack, and gives what is in use of it, in bytes.
#[inline(never)]
pub fn paint() -> usize {
    let here = 0u32;
    let in_use = addr_of!(_stack_start) as usize - addr_of!(here) as usize;
    let end = addr_of!(here) as usize - RED_ZONE;
    let mut word = addr_of_mut!(_stack_end);
    while (word as usize) < end {
        // SAFETY: between the statics and this frame, RAM is nobody's.
        unsafe {
            write_volatile(word, PAINT);
            word = word.add(1);
        }
    }
    in_use
}

/// Bytes of the stack that were in use at once since it was painted.
pub fn peak() -> usize {
    let top = addr_of!(_stack_start) as usize;
    let mut word = addr_of!(_stack_end);
    // SAFETY: this is the stack, whose words can be read.
    while (word as usize) < top && unsafe { read_volatile(word) } == PAINT {
        word = word.wrapping_add(1);
    }
    top - word as usize
}

/// Bytes of RAM in statics.
pub fn statics() -> usize {
    addr_of!(_stack_end) as usize - addr_of!(_ram_start) as usize
}
