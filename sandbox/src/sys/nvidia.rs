//! The one question that NVIDIA's kernel module answers without being initialised.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `NV_ESC_CHECK_VERSION_STR`: `_IOWR('F', 210, 72 bytes)` on `/dev/nvidiactl`.
const CHECK_VERSION: libc::c_ulong = 0xC048_46D2;
/// Asks for the version; the other commands compare it with one that is sent.
const QUERY: u32 = b'2' as u32;
const RECOGNISED: u32 = 1;

/// `nv_ioctl_rm_api_version_t`.
#[repr(C)]
struct Question {
    command: u32,
    reply: u32,
    version: [u8; 64],
}

/// Asks the module behind an open `/dev/nvidiactl` for its version; none if it is older than
/// 530.30.02 and does not know the question.
///
/// # Errors
/// Passes on what the kernel says: `ENOTTY` if the device is not NVIDIA's.
pub fn module_version(node: impl AsFd) -> io::Result<Option<Vec<u8>>> {
    let mut question = Question {
        command: QUERY,
        reply: 0,
        version: [0; 64],
    };
    let descriptor = node.as_fd();
    // SAFETY: the descriptor is open for as long as it is borrowed. The request encodes a size of
    // 72 bytes, which is that of `Question`, a writable struct that any bytes are a value of.
    let result = unsafe { libc::ioctl(descriptor.as_raw_fd(), CHECK_VERSION, &raw mut question) };
    match result {
        0 => {}
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
            error => return Err(error),
        },
    }
    let text = question.version.split(|byte| *byte == 0).next();
    let text = text.unwrap_or_default().to_vec();
    Ok((question.reply == RECOGNISED && !text.is_empty()).then_some(text))
}

const _: () = assert!(size_of::<Question>() == 72);

#[cfg(test)]
mod tests {
    use super::module_version;

    #[test]
    fn a_device_of_another_kind_does_not_know_the_question() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = module_version(null).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
