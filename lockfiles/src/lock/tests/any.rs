//! Every lock there can be, for proptest.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::base::{Compression, Digest, ImageReference, Platform, RegistryName};
use crate::lock::{
    Activation, Artifact, BuiltImage, CondaRequest, GpuReason, GpuRequirements, GpuRule, GpuSource,
    GroupRequest, LockedArchive, LockedBase, LockedConda, LockedCondaPackage, LockedDebian,
    LockedDevice, LockedDriver, LockedGpu, LockedImage, LockedInterpreter, LockedLayer,
    LockedPackage, LockedSuite, LockedVirtualPackage, LockedWheel, Lockfile, Origin, Request,
};
use crate::manifest::{
    ChannelPriority, CondaBase, DevicePin, DriverPin, Gpu, GpuVendor, InterpreterSource, Prerelease,
};

pub(super) fn any_lock() -> impl Strategy<Value = Lockfile> {
    any_request().prop_flat_map(|request| {
        let platforms = request.platforms.clone();
        let gpu = any_gpu(request.gpu.clone(), platforms.clone());
        (
            (Just(request), gpu),
            option::of(any_interpreter(platforms.clone())),
            any_wheels(platforms.clone()),
            any_debian(platforms.clone()),
            option::of(any_base(platforms.clone())),
            any_built(platforms.clone()),
            any_conda(platforms),
        )
            .prop_map(
                |((request, gpu), interpreter, python, debian, base, built, conda)| {
                    let mut lock = Lockfile {
                        request: Request {
                            base: base.as_ref().map(|base| base.reference.clone()),
                            ..request
                        },
                        base,
                        interpreter,
                        conda,
                        python,
                        debian,
                        gpu,
                        built,
                    };
                    lock.sort();
                    lock
                },
            )
    })
}

fn any_platforms(of: Vec<Platform>) -> impl Strategy<Value = Vec<Platform>> {
    let all = of.len();
    subsequence(of, 1..=all)
}

fn any_built(platforms: Vec<Platform>) -> impl Strategy<Value = Vec<BuiltImage>> {
    let all = platforms.len();
    let image = |platform| BuiltImage {
        platform,
        image_id: Digest::of(b"config"),
    };
    subsequence(platforms, 0..=all)
        .prop_map(move |platforms| platforms.into_iter().map(image).collect())
}

fn any_texts() -> impl Strategy<Value = Vec<String>> {
    btree_set("\\PC{0,12}", 0..3).prop_map(|texts| texts.into_iter().collect())
}

fn any_registry() -> impl Strategy<Value = RegistryName> {
    "[a-zA-Z][a-zA-Z0-9_-]{0,8}".prop_map(|name| name.parse().unwrap())
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0i64..4_102_444_800).prop_map(|seconds| Timestamp::from_second(seconds).unwrap())
}

fn any_request() -> impl Strategy<Value = Request> {
    let environment = (
        "[a-zA-Z][a-zA-Z0-9_-]{0,8}",
        any_platforms(Platform::ALL.to_vec()),
        option::of("3\\.[0-9]{1,2}"),
        option::of(select(vec![
            InterpreterSource::Debian,
            InterpreterSource::Standalone,
            InterpreterSource::Conda,
        ])),
    );
    let python = (
        any_texts(),
        any_texts(),
        any_texts(),
        option::of(any_time()),
        select(vec![Prerelease::Disallow, Prerelease::Explicit]),
        vec(any_registry(), 0..3),
        vec(any_registry(), 0..3),
        any::<bool>(),
    );
    let debian = (
        option::of("[a-z]{3,8}"),
        option::of("[0-9]{8}T[0-9]{6}Z"),
        option::of(any::<bool>()),
        btree_set("[a-z0-9][a-z0-9+.-]{1,8}", 0..3),
    );
    let conda = option::of(any_conda_request());
    let groups = btree_map("[a-z0-9]{1,4}", any_group(), 0..3);
    let rest = (conda, option::of(any_gpu_request()), groups);
    let parts = (environment, python, debian, rest);
    parts.prop_map(
        |(environment, python, debian, (conda, gpu, groups))| Request {
            name: environment.0.parse().unwrap(),
            platforms: environment.1,
            python: environment.2,
            python_from: environment.3,
            requirements: python.0,
            constraints: python.1,
            overrides: python.2,
            exclude_newer: python.3,
            prerelease: python.4,
            extra_indexes: python.5,
            find_links: python.6,
            no_build: python.7,
            suite: debian.0,
            snapshot: debian.1,
            security: debian.2,
            packages: debian.3.iter().map(|name| name.parse().unwrap()).collect(),
            base: None,
            conda,
            gpu,
            groups: groups
                .into_iter()
                .map(|(name, group)| (name.parse().unwrap(), group))
                .collect(),
        },
    )
}

fn any_gpu_request() -> impl Strategy<Value = Gpu> {
    (
        select(vec![GpuVendor::Nvidia, GpuVendor::Amd, GpuVendor::Intel]),
        option::of("[0-9]{1,2}(\\.[0-9])?"),
        select(vec![DriverPin::Exact, DriverPin::Branch, DriverPin::None]),
        select(vec![DevicePin::Record, DevicePin::Require]),
    )
        .prop_map(|(vendor, cuda, driver, device)| Gpu {
            vendor,
            cuda: cuda.map(|cuda| cuda.parse().unwrap()),
            driver,
            device,
        })
}

/// A table that fits what `asked` asks for.
fn any_gpu(
    asked: Option<Gpu>,
    platforms: Vec<Platform>,
) -> impl Strategy<Value = Option<LockedGpu>> {
    let device = (
        option::of("\\PC{0,12}"),
        option::of("[0-9]{1,2}\\.[0-9]"),
        option::of(any::<u32>()),
        option::of(any::<bool>()),
    );
    let pin = option::of("[0-9]{1,3}(\\.[0-9]{1,3}){1,2}");
    let because = btree_map("[a-z]{1,4}", any_reason(platforms), 0..4);
    (option::of(device), pin, because).prop_map(move |(device, pin, because)| {
        let policy = asked.clone().unwrap_or_default();
        let driver = |version: String| {
            Some(LockedDriver {
                driver: version.parse().unwrap(),
                precision: policy.driver.precision()?,
            })
        };
        let device = device.map(|(name, capability, multiprocessors, mig)| LockedDevice {
            name,
            compute_capability: capability.map(|text| text.parse().unwrap()),
            multiprocessors,
            mig,
            policy: policy.device,
        });
        let because = because
            .into_iter()
            .map(|(package, reason)| GpuReason { package, ..reason });
        let gpu = match policy.vendor {
            GpuVendor::Nvidia => LockedGpu {
                vendor: policy.vendor,
                pin: pin.and_then(driver),
                device,
                requires: GpuRequirements {
                    because: because.collect(),
                },
            },
            vendor => LockedGpu {
                vendor,
                pin: None,
                device: None,
                requires: GpuRequirements::default(),
            },
        };
        let is_wanted = asked.is_some() || gpu.pin.is_some() || gpu.device.is_some();
        is_wanted.then_some(gpu)
    })
}

fn any_reason(platforms: Vec<Platform>) -> impl Strategy<Value = GpuReason> {
    (
        select(vec![
            GpuSource::Conda,
            GpuSource::Manifest,
            GpuSource::Python,
        ]),
        "\\PC{0,8}",
        any_platforms(platforms),
        select(vec![GpuRule::MinorVersionCompatibility, GpuRule::Toolkit]),
        ("[0-9]{1,3}(\\.[0-9]{1,3}){0,2}", "[0-9]{1,2}\\.[0-9]"),
    )
        .prop_map(
            |(source, version, platforms, rule, (driver, api))| GpuReason {
                source,
                package: String::new(),
                version,
                platforms,
                rule,
                driver: driver.parse().unwrap(),
                cuda_api: api.parse().unwrap(),
            },
        )
}

fn any_group() -> impl Strategy<Value = GroupRequest> {
    let packages = btree_set("[a-z0-9][a-z0-9+.-]{1,8}", 0..3);
    (any_texts(), any_texts(), packages).prop_map(|(requirements, conda, packages)| GroupRequest {
        requirements,
        conda,
        packages: packages.iter().map(|name| name.parse().unwrap()).collect(),
    })
}

fn any_artifact(file: impl Strategy<Value = String>) -> impl Strategy<Value = Artifact> {
    let origin = prop_oneof![
        any_registry().prop_map(Origin::Registry),
        "[a-z]{1,8}".prop_map(|host| Origin::Url(format!("https://{host}.example/x.whl"))),
    ];
    // TOML has no greater integers.
    let size = 0..=i64::MAX as u64;
    (origin, file, size, any::<[u8; 32]>()).prop_map(|(origin, file, size, digest)| Artifact {
        origin,
        file,
        size,
        digest: Digest::from_bytes(digest),
    })
}

/// An artifact of a registry, as interpreters and packages have it.
fn any_pooled() -> impl Strategy<Value = Artifact> {
    let file = "[a-z0-9]{1,4}/[a-zA-Z0-9+~:%é ]{1,12}";
    (any_artifact(file), any_registry()).prop_map(|(artifact, registry)| Artifact {
        origin: Origin::Registry(registry),
        ..artifact
    })
}

fn any_interpreter(platforms: Vec<Platform>) -> impl Strategy<Value = LockedInterpreter> {
    let count = platforms.len();
    ("[0-9.]{1,8}", any::<bool>(), vec(any_pooled(), count)).prop_map(
        move |(version, standalone, artifacts)| {
            let archives = platforms.iter().copied().zip(artifacts);
            let archives =
                archives.map(|(platform, artifact)| LockedArchive { platform, artifact });
            let (from, archives) = match standalone {
                true => (InterpreterSource::Standalone, archives.collect()),
                false => (InterpreterSource::Debian, Vec::new()),
            };
            LockedInterpreter {
                from,
                version,
                path: "/opt/python/bin/python3".to_owned(),
                archives,
            }
        },
    )
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn any_base(platforms: Vec<Platform>) -> impl Strategy<Value = LockedBase> {
    let reference = (
        any_registry(),
        "[a-z0-9]{1,4}(/[a-z0-9]{1,4}){0,2}",
        any_digest(),
    );
    let compression = select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
    ]);
    let layer = (any_digest(), 0..=i64::MAX as u64, compression, any_digest());
    let image = (
        any_digest(),
        option::of(any::<(u16, u16)>()),
        vec(layer, 0..4),
    );
    let count = platforms.len();
    (reference, vec(image, count)).prop_map(move |((registry, repository, digest), images)| {
        let reference = ImageReference {
            registry,
            repository: repository.parse().unwrap(),
            digest,
        };
        let images = platforms.iter().zip(images);
        let images = images.map(|(platform, (manifest, glibc, layers))| LockedImage {
            platform: *platform,
            manifest,
            glibc,
            layers: layers
                .into_iter()
                .map(|(digest, size, compression, diff_id)| {
                    LockedLayer::new(&reference, digest, size, compression, diff_id)
                })
                .collect(),
        });
        LockedBase {
            images: images.collect(),
            reference: reference.clone(),
        }
    })
}

fn any_conda_request() -> impl Strategy<Value = CondaRequest> {
    let lists = (any_texts(), any_texts(), any_texts(), any_texts());
    let names = btree_set("[a-z_][a-z0-9_.-]{0,8}", 0..3);
    let words = (
        vec(any_registry(), 0..3),
        select(vec![
            ChannelPriority::Strict,
            ChannelPriority::Flexible,
            ChannelPriority::Disabled,
        ]),
        option::of(any_time()),
        select(vec![CondaBase::Debian, CondaBase::Glibc]),
    );
    (lists, names, words).prop_map(|(lists, names, words)| CondaRequest {
        channels: words.0,
        channel_priority: words.1,
        dependencies: lists.0,
        constraints: lists.1,
        exclude_newer: words.2,
        virtual_packages: lists.2,
        python_names: lists.3,
        link_scripts: names.iter().map(|name| name.parse().unwrap()).collect(),
        base: words.3,
    })
}

fn any_conda(platforms: Vec<Platform>) -> impl Strategy<Value = LockedConda> {
    let key = ("__[a-z]{1,4}", "[0-9.]{1,4}", "[a-z0-9_]{1,4}");
    let virtual_packages = btree_map(key, any_platforms(platforms.clone()), 0..3);
    let activation = btree_map(
        ("[A-Z_]{1,8}", "\\PC{0,12}"),
        any_platforms(platforms.clone()),
        0..3,
    );
    let key = ("[a-z_][a-z0-9_.-]{0,4}", "[0-9.]{1,4}", "[a-z0-9_]{1,4}");
    let pins = btree_set("[a-z]{1,4}==[0-9.]{1,4}", 0..3);
    let package = (
        any_artifact(Just(String::new())),
        any_platforms(platforms),
        pins,
        any_texts(),
        any::<bool>(),
    );
    let packages = btree_map(key, package, 0..4);
    (virtual_packages, activation, packages).prop_map(|(virtual_packages, activation, packages)| {
        let virtual_packages = virtual_packages
            .into_iter()
            .map(|((name, version, build), on)| LockedVirtualPackage {
                name: name.parse().unwrap(),
                version,
                build,
                platforms: on,
            });
        let activation = activation
            .into_iter()
            .map(|((name, value), on)| Activation {
                platforms: on,
                name,
                value,
            });
        LockedConda {
            virtual_packages: virtual_packages.collect(),
            packages: packages.into_iter().map(conda_package).collect(),
            activation: activation.collect(),
        }
    })
}

type CondaRest = (Artifact, Vec<Platform>, BTreeSet<String>, Vec<String>, bool);

fn conda_package(
    ((name, version, build), rest): ((String, String, String), CondaRest),
) -> LockedCondaPackage {
    let (artifact, platforms, pins, required_by, zipped) = rest;
    let subdir = match platforms.as_slice() {
        [one] => one.conda_subdir(),
        _ => "noarch",
    };
    let kind = if zipped { "conda" } else { "tar.bz2" };
    let file = format!("{subdir}/{name}-{version}-{build}.{kind}");
    LockedCondaPackage {
        name: name.parse().unwrap(),
        version,
        build,
        platforms,
        artifact: Artifact { file, ..artifact },
        python: pins.into_iter().collect(),
        required_by,
    }
}

/// What a wheel's file name says, as a key that keeps entries apart.
type WheelKey = (String, (u8, u8), Index);

fn any_wheels(platforms: Vec<Platform>) -> impl Strategy<Value = Vec<LockedWheel>> {
    let key = ("[a-z][a-z0-9]{0,5}", any::<(u8, u8)>(), any::<Index>());
    let rest = (
        any_artifact(Just(String::new())),
        any_platforms(platforms),
        any_texts(),
    );
    vec((key, rest), 0..5).prop_map(|wheels| {
        let wheels = wheels
            .into_iter()
            .map(|(key, rest)| (wheel_file(&key), (key, rest)));
        // Of two wheels with one file name, one.
        let wheels: BTreeMap<_, _> = wheels.collect();
        let wheels = wheels.into_iter();
        wheels
            .map(
                |(file, ((name, (major, minor), _), (artifact, platforms, required_by)))| {
                    LockedWheel {
                        name: name.parse().unwrap(),
                        version: format!("{major}.{minor}"),
                        platforms,
                        artifact: Artifact { file, ..artifact },
                        required_by,
                        built_from: None,
                    }
                },
            )
            .collect()
    })
}

fn wheel_file((name, (major, minor), tags): &WheelKey) -> String {
    let tags = tags.get(&["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64"]);
    format!("{name}-{major}.{minor}-{tags}.whl")
}

fn any_debian(platforms: Vec<Platform>) -> impl Strategy<Value = LockedDebian> {
    let suites = btree_map("[a-z-]{1,8}", (any_registry(), any_time()), 0..3);
    let key = (
        "[a-z0-9][a-z0-9+.-]{1,8}",
        "[0-9][0-9a-z.+~:-]{0,8}",
        select(platforms.clone()),
    );
    let rest = (
        any_pooled(),
        any_platforms(platforms),
        any::<bool>(),
        any_texts(),
    );
    (suites, btree_map(key, rest, 0..5)).prop_map(|(suites, packages)| {
        let suites = suites
            .into_iter()
            .map(|(name, (registry, date))| LockedSuite {
                name,
                registry,
                date,
            });
        let packages = packages
            .into_iter()
            .map(|((name, version, platform), rest)| {
                let (artifact, platforms, everywhere, required_by) = rest;
                let (architecture, platforms) = match everywhere {
                    true => ("all", platforms),
                    false => (platform.debian(), vec![platform]),
                };
                LockedPackage {
                    name: name.parse().unwrap(),
                    version,
                    architecture: architecture.to_owned(),
                    platforms,
                    artifact,
                    required_by,
                }
            });
        let mut seen = BTreeSet::new();
        LockedDebian {
            suites: suites.collect(),
            packages: packages
                .filter(|package| {
                    let (name, version) = (package.name.clone(), package.version.clone());
                    seen.insert((name, version, package.architecture.clone()))
                })
                .collect(),
        }
    })
}
