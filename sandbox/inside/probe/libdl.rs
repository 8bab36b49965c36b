//! Stands in for the guest's libdl when the probe is linked: see `libc.rs`. Since glibc 2.34 the
//! functions are in libc, and libdl is still there for programs that ask for it.
#![no_std]
#![expect(unsafe_code, reason = "names that a library exports")]

#[unsafe(no_mangle)]
extern "C" fn dlopen() {}
#[unsafe(no_mangle)]
extern "C" fn dlsym() {}
#[unsafe(no_mangle)]
extern "C" fn dlerror() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
