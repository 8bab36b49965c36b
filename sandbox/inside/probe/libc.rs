//! Stands in for the guest's libc when the probe is linked, so that the probe asks for functions by
//! name alone. A real libc would put the version that it has into the probe, and older ones would
//! then be refused. Never run.
#![no_std]
#![expect(unsafe_code, reason = "names that a library exports")]

#[unsafe(no_mangle)]
extern "C" fn __libc_start_main() {}
#[unsafe(no_mangle)]
extern "C" fn memcpy() {}
#[unsafe(no_mangle)]
extern "C" fn memmove() {}
#[unsafe(no_mangle)]
extern "C" fn memset() {}
#[unsafe(no_mangle)]
extern "C" fn memcmp() {}
#[unsafe(no_mangle)]
extern "C" fn strlen() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
