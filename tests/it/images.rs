//! `envbox build`: the same bits on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use envbox::base::Digest;
use envbox::image::{Descriptor, ImageConfig, ImageIndex, ImageManifest, MediaType};
use serde_json::Value;

use crate::debs;
use crate::interface::follows;
use crate::support::{Run, User, World};

const MANIFEST: &str = "[environment]\nname = \"data\"\n[debian]\nsuite = \"bookworm\"\n\
                        [sandbox]\nenv = { ANSWER = \"42\" }\n";

/// Digests that this and every later envbox gives, unless it says that it does not.
const GOLDEN: &str = include_str!("../../fixtures/golden/images.txt");

/// Packages without programs: nothing in them comes from this machine.
fn debs(second: &str) -> [(&'static str, Vec<u8>); 2] {
    let first = [
        ("usr/share/first/a", 0o644, "a"),
        ("usr/share/first/b", 0o755, "b"),
    ];
    let second = [
        ("usr/share/second/a", 0o644, second),
        ("usr/share/second/ü", 0o600, "x"),
    ];
    [
        ("first", debs::deb_of("first", &first)),
        ("second", debs::deb_of("second", &second)),
    ]
}

fn world(user: User, second: &str) -> (World, String) {
    let world = World::new(user);
    let registry = debs::install_packages(&world, MANIFEST, None, &debs(second));
    (world, registry)
}

fn build(world: &World, registry: &str, arguments: &[&str]) -> Run {
    let mut all = vec!["build", "--frozen", "--registry", registry];
    all.extend(arguments);
    world.run(&all)
}

fn document(run: &Run) -> Value {
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let document = serde_json::from_str(&run.stdout()).unwrap();
    follows("build", &document);
    document
}

/// Returns the layers of the first image: packages to digest.
fn layers(document: &Value) -> BTreeMap<String, String> {
    let layers = document["images"][0]["layers"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| (layer["packages"].to_string(), layer["digest"].to_string()))
        .collect()
}

#[test]
fn an_image_is_equal_everywhere() {
    let mut found = BTreeSet::new();
    for (user, conditions) in [
        (User::Current, "umask 022"),
        (
            User::Current,
            "umask 077; export TZ=Asia/Tokyo LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8",
        ),
        (
            User::Unprivileged,
            "umask 000; export SOURCE_DATE_EPOCH=1; ulimit -n 100",
        ),
    ] {
        let (world, registry) = world(user, "1");
        for codec in ["zstd", "gzip"] {
            let arguments = ["build", "--frozen", "--registry", &registry, "--json"];
            let mut command = world.command(&arguments);
            command.args(["--compression", codec]);
            let mut shell = world.shell(&format!("{conditions}; exec \"$@\""));
            shell.arg("sh").arg(command.get_program());
            let run = world.finished({
                shell.args(command.get_args());
                shell
            });
            let image = &document(&run)["images"][0];
            let text = |key: &str| image[key].as_str().unwrap().to_owned();
            found.insert(format!("{codec} {} {}\n", text("digest"), text("image_id")));
        }
    }
    let found: String = found.into_iter().collect();
    assert_eq!(found, GOLDEN, "fixtures/golden/images.txt");
}

#[test]
fn a_changed_package_changes_its_layer_alone() {
    let (world, registry) = world(User::Unprivileged, "1");
    let before = document(&build(&world, &registry, &["--json"]));
    debs::install_packages(&world, MANIFEST, None, &debs("2"));
    let after = document(&build(&world, &registry, &["--json"]));
    let (before, after) = (layers(&before), layers(&after));
    let same = |packages: &str| before[packages] == after[packages];
    assert!(same("[\"first=1\"]") && same("[\"envbox\"]"), "{after:?}");
    assert!(!same("[\"second=1\"]"), "{after:?}");
}

#[test]
fn building_twice_is_checked() {
    let (world, registry) = world(User::Unprivileged, "1");
    let run = build(&world, &registry, &["--check"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(run.stdout().ends_with("built twice: the same bits\n"));
    let store = world.path().join("home/.cache/envbox");
    for emptied in ["tmp/build", "tmp/partial"] {
        let left: Vec<_> = fs::read_dir(store.join(emptied)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_file_that_was_changed_is_in_no_image() {
    let (world, registry) = world(User::Current, "1");
    document(&build(&world, &registry, &["--json"]));
    let rootfs = world.path().join("home/.cache/envbox/rootfs");
    let mut trees = fs::read_dir(&rootfs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tree = trees.find(|path| path.is_dir()).unwrap();
    for changed in ["b", "bb"] {
        let file = tree.join("usr/share/second/a");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, changed).unwrap();
        let run = build(&world, &registry, &["--compression", "gzip"]);
        assert_eq!(run.code(), Some(14), "{}", run.stderr());
        let said = run.stderr();
        let named = "usr/share/second/a` has been changed since it was unpacked";
        assert!(
            said.contains(named) && said.contains("store verify"),
            "{said}"
        );
    }
}

/// Reads a blob of a layout by its descriptor.
fn blob(layout: &Path, descriptor: &Descriptor) -> Vec<u8> {
    let path = layout.join("blobs/sha256").join(descriptor.digest.hex());
    let bytes = fs::read(path).unwrap();
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    assert_eq!((digest, size), (descriptor.digest, descriptor.size));
    bytes
}

#[test]
fn a_layout_holds_what_it_says() {
    let (world, registry) = world(User::Unprivileged, "1");
    for (tag, codec) in [("v1", "zstd"), ("v2", "gzip"), ("v1", "zstd")] {
        let output = format!("oci:layout:{tag}");
        let arguments = ["--output", &output, "--compression", codec];
        let run = build(&world, &registry, &arguments);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }
    let layout = world.project().join("layout");
    let index = ImageIndex::parse(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = |descriptor: &Descriptor| {
        descriptor.annotations["org.opencontainers.image.ref.name"].clone()
    };
    let tags: Vec<String> = index.manifests.iter().map(tag).collect();
    assert_eq!(tags, ["v2", "v1"]);
    let manifest = ImageManifest::parse(&blob(&layout, &index.manifests[1])).unwrap();
    let config = ImageConfig::parse(&blob(&layout, &manifest.config)).unwrap();
    assert_eq!(config.rootfs.diff_ids.len(), manifest.layers.len());
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        assert_eq!(layer.media_type.as_str(), MediaType::LAYER_ZSTD);
        let mut stream = Vec::new();
        let packed = blob(&layout, layer);
        zstd::stream::copy_decode(packed.as_slice(), &mut stream).unwrap();
        assert_eq!(Digest::of(&stream), *diff_id);
    }
    assert_eq!(config.config.user.as_deref(), Some("1000:1000"));
    assert_eq!(config.config.working_dir.as_deref(), Some("/project"));
    let environment = config.config.env.unwrap();
    for variable in ["ANSWER=42", "PYTHONHASHSEED=0", "TZ=UTC"] {
        assert!(environment.iter().any(|one| one == variable), "{variable}");
    }
}

#[test]
fn archives_are_equal_and_docker_finds_its_way() {
    let (world, registry) = world(User::Unprivileged, "1");
    for file in ["one.tar", "two.tar"] {
        let output = format!("docker-archive:{file}:registry.example:5000/data:v1");
        let run = build(&world, &registry, &["--output", &output]);
        assert_eq!(run.code(), Some(0), "{}", run.stderr());
    }
    let read = |file: &str| fs::read(world.project().join(file)).unwrap();
    assert!(read("one.tar") == read("two.tar"));
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(read("one.tar").as_slice())
        .entries()
        .unwrap()
    {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][0], "registry.example:5000/data:v1");
    let config = docker[0]["Config"].as_str().unwrap();
    let config = ImageConfig::parse(&files[config]).unwrap();
    let named = docker[0]["Layers"].as_array().unwrap();
    assert_eq!(named.len(), config.rootfs.diff_ids.len());
    for layer in named {
        let name = layer.as_str().unwrap();
        let digest = Digest::of(&files[name]);
        assert_eq!(name, format!("blobs/sha256/{}", digest.hex()));
    }
    let index = ImageIndex::parse(&files["index.json"]).unwrap();
    let tag = &index.manifests[0].annotations["org.opencontainers.image.ref.name"];
    assert_eq!(tag, "v1");
}

#[test]
fn places_that_do_not_serve_are_told() {
    let (world, registry) = world(User::Current, "1");
    for directory in ["occupied", "broken"] {
        fs::create_dir(world.project().join(directory)).unwrap();
    }
    world.write("occupied/file", "mine");
    world.write("broken/oci-layout", "{}");
    world.write("broken/index.json", "{");
    let mut said = String::new();
    for arguments in [
        ["--output", "oci:occupied"],
        ["--output", "oci:broken"],
        ["--output", "oci:envbox.toml"],
        ["--output", "docker:x"],
        ["--layers", "2"],
        ["--platform", "linux/arm64"],
    ] {
        let run = build(&world, &registry, &arguments);
        said += &format!("$ {}\n{}\n", arguments.join(" "), run.whole());
    }
    insta::assert_snapshot!(said, @r"
    $ --output oci:occupied
    exit: 10
    -- stdout
    -- stderr
    error: `occupied` exists and is no OCI layout

    hint: name another place, or remove what is there

    $ --output oci:broken
    exit: 10
    -- stdout
    -- stderr
    error: failed to read `broken/index.json`
    caused by: the image index is not valid
    caused by: EOF while parsing an object at line 1 column 1

    hint: remove the layout, or write to another place

    $ --output oci:envbox.toml
    exit: 10
    -- stdout
    -- stderr
    error: `envbox.toml` exists and is no OCI layout

    hint: name another place, or remove what is there

    $ --output docker:x
    exit: 10
    -- stdout
    -- stderr
    error: `--output docker:x` is not TRANSPORT:PATH or TRANSPORT:PATH:NAME

    hint: write `oci:DIR`, `oci-archive:FILE` or `docker-archive:FILE`

    $ --layers 2
    exit: 10
    -- stdout
    -- stderr
    error: an image cannot have 2 layers

    hint: ask for 1, or for 3 to 100: runtimes refuse more than 125

    $ --platform linux/arm64
    exit: 10
    -- stdout
    -- stderr
    error: the lock has nothing for linux/arm64, only for linux/amd64

    hint: add `linux/arm64` to `platforms` in the manifest and run `envbox lock`
    ");
    let mine = fs::read_to_string(world.project().join("occupied/file")).unwrap();
    assert_eq!(mine, "mine");
}
