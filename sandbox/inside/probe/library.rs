//! Libraries that are loaded while the program runs.

use core::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// A library. It is never closed.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

impl Library {
    /// Loads a library from where the loader finds it.
    pub fn open(name: &'static CStr) -> Option<Library> {
        const NOW: c_int = 2;
        // SAFETY: the name is terminated. Initialisers of the library run, as in every program
        // that uses the driver.
        let library = unsafe { dlopen(name.as_ptr(), NOW) };
        (!library.is_null()).then_some(Library(library))
    }

    /// Says why the last library was not loaded.
    pub fn error() -> &'static [u8] {
        // SAFETY: takes nothing; returns null or a terminated string.
        let text = unsafe { dlerror() };
        if text.is_null() {
            return b"no reason";
        }
        // SAFETY: the string is terminated, and stays until the next call into the loader; it is
        // printed before.
        unsafe { CStr::from_ptr(text) }.to_bytes()
    }

    /// Finds a function.
    ///
    /// # Safety
    /// `F` must be the type of a pointer to the function that the library has under this name.
    pub unsafe fn function<F: Copy>(self, name: &'static CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the library is open and the name terminated.
        let address = unsafe { dlsym(self.0, name.as_ptr()) };
        // SAFETY: as large, and of that type as the caller vouches.
        (!address.is_null())
            .then(|| unsafe { core::mem::transmute_copy::<*mut c_void, F>(&address) })
    }
}
