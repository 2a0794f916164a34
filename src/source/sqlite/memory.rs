//! How much memory SQLite may take in a thread that runs SQL from outside. SQLite's own limit counts for the whole process
//! and behind a lock; this one counts for a thread, and lets the others be.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::OnceLock;

use rusqlite::ffi;

thread_local! {
    /// What this thread has taken since its ceiling was set, less what it gave back, in bytes.
    static TAKEN: Cell<i64> = const { Cell::new(0) };
    static CEILING: Cell<i64> = const { Cell::new(i64::MAX) };
    static WAS_HIT: Cell<bool> = const { Cell::new(false) };
}

/// SQLite's own allocator.
struct Allocator {
    allocate: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    resize: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// None when SQLite was running already as we came.
static ORIGINAL: OnceLock<Option<Allocator>> = OnceLock::new();

/// Makes it possible to bound the memory of a load. To be called before anything else uses SQLite in this process:
/// afterwards SQLite keeps the allocator it has, and `false` tells so.
pub fn bound_memory() -> bool {
    ORIGINAL.get_or_init(install).is_some()
}

fn install() -> Option<Allocator> {
    // SAFETY: no more than room for pointers, which SQLite fills in.
    let mut methods: ffi::sqlite3_mem_methods = unsafe { std::mem::zeroed() };
    // SAFETY: the operation takes a pointer to methods, which it fills in during the call.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods) };
    if code != ffi::SQLITE_OK {
        return None;
    }
    let original =
        Allocator { allocate: methods.xMalloc?, free: methods.xFree?, resize: methods.xRealloc?, size: methods.xSize? };
    methods.xMalloc = Some(allocate);
    methods.xFree = Some(free);
    methods.xRealloc = Some(resize);
    // SAFETY: as above. SQLite calls the methods once it runs, which is after `ORIGINAL` was filled.
    let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw mut methods) };
    (code == ffi::SQLITE_OK).then_some(original)
}

/// How much SQLite may take in this thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Ceiling(PhantomData<*const ()>);

impl Ceiling {
    /// Counts from now on. There is one in a thread at a time.
    pub(super) fn set(bytes: u64) -> Self {
        bound_memory();
        TAKEN.set(0);
        WAS_HIT.set(false);
        let ceiling = Self(PhantomData);
        ceiling.raise(bytes);
        ceiling
    }

    /// Moves it.
    pub(super) fn raise(&self, bytes: u64) {
        CEILING.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether SQLite asked for more.
    pub(super) fn was_hit(&self) -> bool {
        WAS_HIT.get()
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        CEILING.set(i64::MAX);
    }
}

fn original() -> &'static Allocator {
    ORIGINAL.get().and_then(Option::as_ref).expect("SQLite has our methods because `install` gave them")
}

/// Whether so many bytes more may be taken.
fn may_take(bytes: i64) -> bool {
    let may = TAKEN.get().saturating_add(bytes) <= CEILING.get();
    if !may {
        WAS_HIT.set(true);
    }
    may
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    if !may_take(i64::from(bytes)) {
        return std::ptr::null_mut();
    }
    // SAFETY: SQLite's own allocator with what SQLite asked it for.
    unsafe {
        let memory = (original().allocate)(bytes);
        TAKEN.set(TAKEN.get() + size(memory));
        memory
    }
}

unsafe extern "C" fn free(memory: *mut c_void) {
    // SAFETY: SQLite gives back what this allocator gave it.
    unsafe {
        TAKEN.set(TAKEN.get() - size(memory));
        (original().free)(memory);
    }
}

unsafe extern "C" fn resize(memory: *mut c_void, bytes: c_int) -> *mut c_void {
    // SAFETY: SQLite's own allocator with what SQLite asked it for, and memory that it gave.
    unsafe {
        let before = size(memory);
        if !may_take(i64::from(bytes) - before) {
            return std::ptr::null_mut();
        }
        let resized = (original().resize)(memory, bytes);
        if !resized.is_null() {
            TAKEN.set(TAKEN.get() + size(resized) - before);
        }
        resized
    }
}

/// # Safety
/// The memory is of SQLite's own allocator, or null.
unsafe fn size(memory: *mut c_void) -> i64 {
    if memory.is_null() {
        return 0;
    }
    // SAFETY: the caller's promise.
    i64::from(unsafe { (original().size)(memory) })
}
