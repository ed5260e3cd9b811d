//! Two tasks over one base, on a Cortex-M4 without an allocator: the base and both adapters lie in flash, and changing
//! the task is changing one reference.
#![no_std]
#![no_main]

mod base;
mod task;
mod vit;

use core::ptr::addr_of_mut;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use taps::format::{Adapter, Error};
use vit::{Buffers, CLASSES, scores};

/// Made by `make.sh`: the first in int8, the second in one bit.
#[cfg(not(feature = "bare"))]
static DIGITS: &[u8] = include_bytes!("../digits.taps");
#[cfg(not(feature = "bare"))]
static INVERTED: &[u8] = include_bytes!("../inverted.taps");

/// Images of 8 × 8 bytes, some as they are and then as many inverted.
static IMAGES: &[u8] = include_bytes!("../images.bin");

/// What this program does, as adapters from version 3 on say what they were made for. It refuses an adapter that was made
/// with something else, or with something that it does not know and that counts; earlier versions say nothing.
#[cfg(not(feature = "bare"))]
const SETTINGS: [(&str, Option<&str>); 7] = [
    ("attention_heads", Some("4")),
    ("image_mean", Some("0.3")),
    ("image_resize", Some("stretch bilinear")),
    ("image_size", Some("8x8")),
    ("image_std", Some("0.4")),
    ("norm_eps", Some("0.000001")),
    ("pooling", Some("class")),
];

/// An adapter of each task; without the adapter format, to see what it takes, none.
#[cfg(not(feature = "bare"))]
fn adapters() -> Result<[Option<Adapter<'static>>; 2], Error> {
    let adapter = |file| {
        let adapter = Adapter::parse(file)?;
        adapter.check_settings(SETTINGS.into_iter())?;
        Ok(Some(adapter))
    };
    Ok([adapter(DIGITS)?, adapter(INVERTED)?])
}

#[cfg(feature = "bare")]
fn adapters() -> Result<[Option<Adapter<'static>>; 2], Error> {
    Ok([None, None])
}

#[entry]
fn main() -> ! {
    // The entry makes this a reference that nothing else has.
    static mut BUFFERS: Buffers = Buffers::new();
    let stack = Stack::painted();
    let start = cycles();
    match run(BUFFERS) {
        Ok(()) => {
            hprintln!("# buffers {} bytes, stack {} bytes", size_of::<Buffers>(), stack.used());
            if cycles() > start {
                hprintln!("# cycles {}", cycles() - start);
            }
            debug::exit(debug::EXIT_SUCCESS);
        }
        Err(error) => {
            hprintln!("# {}", error);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {}
}

fn run(buffers: &mut Buffers) -> Result<(), Error> {
    let adapters = adapters()?;
    let tasks = adapters.each_ref().map(Option::as_ref);
    let images = IMAGES.as_chunks::<64>().0;
    let (plain, inverted) = images.split_at(images.len() / 2);
    for (number, pair) in plain.iter().zip(inverted).enumerate() {
        // Both tasks in turn, each on an image of its own.
        for (task, image) in tasks.iter().zip([pair.0, pair.1]) {
            let mut found = [0.0; CLASSES];
            let classes = scores(*task, image, buffers, &mut found)?;
            let best = (0..classes).fold(0, |best, class| if found[class] > found[best] { class } else { best });
            match task {
                Some(task) => {
                    let label = task.labels().nth(best).unwrap_or_default();
                    hprintln!("{} {} {} {:.2}", number, task.task(), label, found[best]);
                }
                None => hprintln!("{} base {} {:.2}", number, best, found[best]),
            }
        }
    }
    Ok(())
}

/// Cycles since the start where the machine counts them, and else always the same; QEMU does not.
fn cycles() -> u32 {
    use cortex_m::peripheral::{DWT, Peripherals};
    if let Some(mut peripherals) = Peripherals::take() {
        peripherals.DCB.enable_trace();
        peripherals.DWT.enable_cycle_counter();
    }
    DWT::cycle_count()
}

/// How much of the stack was used, by a pattern that is written to it first.
struct Stack {
    bottom: *mut u32,
}

const PATTERN: u32 = 0xa5a5_5a5a;

impl Stack {
    fn painted() -> Self {
        unsafe extern "C" {
            static mut __sheap: u32;
        }
        let bottom = addr_of_mut!(__sheap);
        let mut at = bottom;
        // SAFETY: from the end of the statics up to well below the stack pointer the memory is nobody's.
        unsafe {
            let top = (cortex_m::register::msp::read() - 1024) as *mut u32;
            while at < top {
                at.write_volatile(PATTERN);
                at = at.add(1);
            }
        }
        Self { bottom }
    }

    fn used(&self) -> usize {
        let mut at = self.bottom;
        // SAFETY: what was painted is readable, and the stack ends it at the latest.
        unsafe {
            while at.read_volatile() == PATTERN {
                at = at.add(1);
            }
        }
        0x2000_0000 + 128 * 1024 - at as usize
    }
}
