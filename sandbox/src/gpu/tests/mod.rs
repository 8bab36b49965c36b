//! Hosts that are made from a few words in a directory.

mod cdi;
mod device_code;
mod discovery;
mod edits;
mod probe;
mod properties;
mod selection;
mod verdicts;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Answer, DeviceNodes, GpuFacts, HostFs, LibraryPlaces, Numbers, Status, discover};

/// A host below a temporary directory. Its description has one thing on a line; a later line
/// changes what an earlier one made:
///
/// | line | makes |
/// |---|---|
/// | `driver V` | a loaded driver with its nodes: `ioctl`, `sys`, `proc`, `devices` and `node`s |
/// | `good` | all of a driver, one GPU, the libraries |
/// | `ioctl V`, `ioctl !N`, `ioctl ?` | the module's answer, an error number, no answer |
/// | `text PATH WORDS` | a file with a line, or more with `\n` between |
/// | `given DIRECTORY`, `library-path DIRECTORY` | a place to search |
/// | `node PATH N:N` | a device node |
/// | `gpu ADDRESS N` | a card that the driver has, on the bus too, with its node |
/// | `pci ADDRESS VENDOR CLASS DRIVER` | a card on the bus |
/// | `libs DIRECTORY V` | the user libraries with their links |
/// | `elf PATH`, `elf32 PATH`, `empty PATH` | a file |
/// | `named PATH NAME` | a library with a name of its own |
/// | `mode PATH MODE UID GID` | another owner of a node |
/// | `mig N:GI:CI` | a MIG instance of a GPU with its nodes |
/// | `link PATH TARGET` | a link |
/// | `cache PATH` | the linker's cache with that file |
/// | `drop PATH` | the removal of any of these |
struct Host {
    directory: tempfile::TempDir,
    nodes: BTreeMap<PathBuf, Status>,
    answer: Result<Answer, i32>,
    places: LibraryPlaces,
    asked: RefCell<Vec<PathBuf>>,
}

impl Host {
    fn new(description: &str) -> Host {
        let mut host = Host {
            directory: tempfile::tempdir().unwrap(),
            nodes: BTreeMap::new(),
            answer: Err(libc::ENXIO),
            places: LibraryPlaces::default(),
            asked: RefCell::default(),
        };
        for line in description.lines().map(str::trim) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            host.line(word, rest);
        }
        host
    }

    fn line(&mut self, word: &str, rest: &str) {
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "" => {}
            "driver" => self.driver(rest),
            "good" => {
                self.driver("580.159.04");
                self.gpu("0000:04:00.0", "0");
                self.libraries("/usr/lib64", "580.159.04");
            }
            "ioctl" => self.answer = answer(rest),
            "text" => {
                let text = second.replace("\\n", "\n");
                self.write(first, format!("{text}\n").as_bytes());
            }
            "node" => self.node(first, second),
            "gpu" => self.gpu(first, second),
            "pci" => self.pci(rest),
            "libs" => self.libraries(first, second),
            "named" => self.write(first, &named_elf(second)),
            "mode" => self.mode(first, second),
            "mig" => self.mig(rest),
            "elf" => self.write(rest, &elf(2)),
            "elf32" => self.write(rest, &elf(1)),
            "empty" => self.write(rest, b""),
            "link" => {
                fs::create_dir_all(self.path(first).parent().unwrap()).unwrap();
                symlink(second, self.path(first)).unwrap();
            }
            "cache" => self.write("/etc/ld.so.cache", &cache(rest)),
            "given" => self.places.given.push(rest.into()),
            "library-path" => self.places.library_path.push(rest.into()),
            "drop" => self.remove(rest),
            _ => panic!("{word} is no word of a host's description"),
        }
    }

    fn driver(&mut self, version: &str) {
        let nvrm = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64";
        for (word, rest) in [
            ("ioctl", version.to_owned()),
            ("text", format!("/sys/module/nvidia/version {version}")),
            (
                "text",
                format!("/proc/driver/nvidia/version {nvrm}  {version}  Release Build  (me@here)"),
            ),
            (
                "text",
                "/proc/driver/nvidia/capabilities/mig/config 1".to_owned(),
            ),
            ("node", "/dev/nvidiactl 195:255".to_owned()),
            ("node", "/dev/nvidia-uvm 238:0".to_owned()),
        ] {
            self.line(word, &rest);
        }
        self.registered(&[
            "195 nvidia",
            "195 nvidiactl",
            "237 nvidia-caps",
            "238 nvidia-uvm",
        ]);
    }

    fn registered(&self, drivers: &[&str]) {
        let drivers = drivers.join("\n");
        let text = format!("Character devices:\n  1 mem\n{drivers}\n\nBlock devices:\n254 disk\n");
        self.write("/proc/devices", text.as_bytes());
    }

    fn gpu(&mut self, address: &str, minor: &str) {
        let text = format!(
            "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 35\nGPU UUID: \t GPU-{minor}\n\
             Video BIOS: \t 96.00.99.00.01\nBus Location: \t {address}\nDevice Minor: \t {minor}\n\
             GPU Firmware: \t 580.159.04\nGPU Excluded:\t No\n"
        );
        let file = format!("/proc/driver/nvidia/gpus/{address}/information");
        self.write(&file, text.as_bytes());
        self.pci(&format!("{address} 10de 0302 nvidia"));
        self.node(&format!("/dev/nvidia{minor}"), &format!("195:{minor}"));
    }

    fn pci(&self, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        let [address, vendor, class, driver] = words[..] else {
            panic!("{rest}");
        };
        let directory = format!("/sys/bus/pci/devices/{address}");
        self.write(
            &format!("{directory}/vendor"),
            format!("0x{vendor}\n").as_bytes(),
        );
        self.write(
            &format!("{directory}/class"),
            format!("0x{class}00\n").as_bytes(),
        );
        let link = self.path(&format!("{directory}/driver"));
        let target = format!("../../../../bus/pci/drivers/{driver}");
        if driver != "-" {
            symlink(target, link).unwrap();
        }
    }

    fn libraries(&self, directory: &str, version: &str) {
        let names = [
            "libcuda",
            "libnvidia-ml",
            "libnvidia-ptxjitcompiler",
            "libnvidia-nvvm",
        ];
        for name in names {
            let file = format!("{name}.so.{version}");
            let soname = format!("{name}.so.1");
            self.write(&format!("{directory}/{file}"), &named_elf(&soname));
            let link = self.path(&format!("{directory}/{name}.so.1"));
            if fs::symlink_metadata(&link).is_err() {
                symlink(&file, link).unwrap();
            }
        }
    }

    fn node(&mut self, path: &str, numbers: &str) {
        self.write(path, b"");
        let status = Status {
            numbers: super::pci::numbers(numbers),
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        self.nodes.insert(path.into(), status);
    }

    fn mode(&mut self, path: &str, rest: &str) {
        let words: Vec<&str> = rest.split(' ').collect();
        let status = self.nodes.get_mut(Path::new(path)).unwrap();
        status.mode = u32::from_str_radix(words[0], 8).unwrap();
        (status.uid, status.gid) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    }

    fn mig(&mut self, rest: &str) {
        let words: Vec<u32> = rest.split(':').map(|it| it.parse().unwrap()).collect();
        let [gpu, gi, ci] = words[..] else {
            panic!("{rest}");
        };
        let minor = 3 + gpu * 135 + gi * 9;
        let minors = "/proc/driver/nvidia-caps/mig-minors";
        let mut text = self.files().text(minors).unwrap_or_default();
        for (name, minor) in [(String::new(), minor), (format!("ci{ci}/"), minor + 1 + ci)] {
            let name = format!("gpu{gpu}/gi{gi}/{name}access");
            text += &format!("{name} {minor}\n");
            let directory = format!("/proc/driver/nvidia/capabilities/gpu{gpu}/mig");
            let file = name.replace(&format!("gpu{gpu}"), "");
            self.write(&format!("{directory}{file}"), b"");
            self.node(
                &format!("/dev/nvidia-caps/nvidia-cap{minor}"),
                &format!("237:{minor}"),
            );
        }
        self.write(minors, text.as_bytes());
    }

    fn remove(&mut self, path: &str) {
        self.nodes.remove(Path::new(path));
        let real = self.path(path);
        let removed = match fs::symlink_metadata(&real).unwrap().is_dir() {
            true => fs::remove_dir_all(real),
            false => fs::remove_file(real),
        };
        removed.unwrap();
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn files(&self) -> HostFs {
        HostFs::below(self.directory.path()).unwrap()
    }

    fn discover(&self) -> GpuFacts {
        discover(&self.files(), self, &self.places)
    }
}

impl DeviceNodes for Host {
    fn status(&self, path: &Path) -> io::Result<Status> {
        match self.nodes.get(path) {
            Some(status) => Ok(*status),
            None => self.files().status(path),
        }
    }

    fn ask_version(&self, path: &Path) -> io::Result<Answer> {
        self.asked.borrow_mut().push(path.to_owned());
        self.answer.clone().map_err(io::Error::from_raw_os_error)
    }
}

/// What `/dev/null` is.
const NULL: Numbers = Numbers { major: 1, minor: 3 };

fn answer(text: &str) -> Result<Answer, i32> {
    match text.strip_prefix('!') {
        Some(errno) => Err(errno.parse().unwrap()),
        None if text == "?" => Ok(Answer::Unrecognised),
        None => Ok(Answer::Version(text.into())),
    }
}

/// The first bytes of a library.
fn elf(class: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    bytes.extend(if class == 2 { [62, 0] } else { [3, 0] });
    bytes.resize(64, 0);
    bytes
}

/// A library that names itself.
fn named_elf(name: &str) -> Vec<u8> {
    let mut bytes = elf(2);
    let (dynamic, strings) = (64 + 2 * 56, 64 + 2 * 56 + 3 * 16);
    bytes[32] = 64;
    (bytes[54], bytes[56]) = (56, 2);
    let size = strings + 2 + name.len();
    for (kind, offset, size) in [(1_u32, 0, size), (2, dynamic, 3 * 16)] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(5_u32.to_le_bytes());
        for word in [offset, offset, offset, size, size, 8] {
            bytes.extend((word as u64).to_le_bytes());
        }
    }
    for word in [5, strings, 14, 1, 0, 0] {
        bytes.extend((word as u64).to_le_bytes());
    }
    bytes.extend([b"\0", name.as_bytes(), b"\0"].concat());
    bytes
}

/// A linker's cache with one library.
fn cache(path: &str) -> Vec<u8> {
    let name = path.rsplit('/').next().unwrap();
    let strings = format!("{path}\0");
    let start = 48 + 24;
    let key = start + path.len() - name.len();
    let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend((strings.len() as u32).to_le_bytes());
    bytes.resize(48, 0);
    for number in [0x0303, key as u32, start as u32, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(strings.bytes());
    bytes
}
