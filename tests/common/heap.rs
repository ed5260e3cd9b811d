//! An allocator that counts. A test binary takes it by
//! `#[global_allocator] static HEAP: Counting = Counting;`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn enter(size: usize) {
    HIGHEST.fetch_max(LIVE.fetch_add(size, Relaxed) + size, Relaxed);
    LARGEST.fetch_max(size, Relaxed);
    CALLS.set(CALLS.get() + 1);
}

fn leave(size: usize) {
    LIVE.fetch_sub(size, Relaxed);
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call goes to the system allocator as it came; the counters touch no memory of theirs.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        enter(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        enter(layout.size());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        leave(layout.size());
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        leave(layout.size());
        enter(size);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Bytes allocated and not freed, by all threads.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

/// The largest block allocated while `work` ran, by any thread.
pub fn largest(work: impl FnOnce()) -> usize {
    LARGEST.store(0, Relaxed);
    work();
    LARGEST.load(Relaxed)
}

/// By how many bytes what is live grew at most while `work` ran, of all threads.
pub fn growth(work: impl FnOnce()) -> usize {
    let before = live();
    HIGHEST.store(before, Relaxed);
    work();
    HIGHEST.load(Relaxed) - before
}

/// Calls to the allocator, to free included, by this thread while `work` ran.
pub fn calls(work: impl FnOnce()) -> usize {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}
