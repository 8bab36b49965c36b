//! Locks written as Dockerfiles.

use crate::foreign::ExportFormat;
use crate::foreign::tests::round_trips::{AMD64, Project};
use crate::lock::{Activation, Lockfile};

#[test]
fn a_dockerfile_installs_what_is_locked() {
    let project = Project::new(false);
    let lock = project.first();
    let text = project.exported(&lock, ExportFormat::Dockerfile);
    insta::assert_snapshot!(project.shown(&text, &lock), @r#"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.2 by `envbox export dockerfile`.
    FROM debian:bookworm-slim AS base
    RUN rm -rf /etc/apt/sources.list.d/* \
     && printf '%s\n' \
            'deb [check-valid-until=no] file://WORLD/debian-snapshot/debian/20260601T000000Z bookworm main' > /etc/apt/sources.list \
     && apt-get update \
     && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --allow-downgrades --allow-change-held-packages \
            base-files=1 \
            base-passwd=1 \
            bash=1 \
            ca-certificates=1 \
            coreutils=1 \
            dash=1 \
            findutils=1 \
            grep=1 \
            libc-bin=1 \
            libc6=2.36-9 \
            libgcc-s1=1 \
            libgomp1=1 \
            libpython3=3.11.2-6+deb12u6 \
            libstdc++6=1 \
            media-types=1 \
            netbase=1 \
            python3.11=3.11.2-6+deb12u6 \
            sed=1 \
            tzdata=1 \
     && rm -rf /var/lib/apt/lists/*

    FROM base AS python
    ENV DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1
    RUN apt-get update && apt-get install -y --no-install-recommends python3-pip
    RUN printf '%s\n' \
            'app==1 --hash=sha256:3454b6cd6947cf1c18b38179f54237c9a4228277a5ffe0ca2ff9c9324ce4139b' \
            'library==1.5+local --hash=sha256:acd2c5c40900608a4c45ee5f6ce9e95468df4cb65a4049f713f8b81ca7596455' \
            'other==1 --hash=sha256:21380a3413f69792841e5385647efe7b7eb10c7caeb82909822370eb77257bf0' > /requirements.txt \
     && /usr/bin/python3.11 -m pip install --no-cache-dir --no-deps --ignore-installed --require-hashes --only-binary :all: --root /wheels -r /requirements.txt

    FROM base
    COPY --from=python /wheels/usr/local /usr/local
    CMD ["/usr/bin/python3.11"]
    "#);
}

/// Returns a project with conda packages on a server, and a lock with a variable of theirs.
fn with_conda() -> (Project, Lockfile) {
    let mut project = Project::new(true);
    let mut lock = project.first();
    let place = "https://me:secret@conda.example/lab".to_owned();
    let registries = &mut project.world.context.registries;
    registries.insert("own".parse().unwrap(), place);
    lock.conda.activation.push(Activation {
        platforms: vec![AMD64],
        name: "NOTE".to_owned(),
        value: r#"it's "$5" \ é"#.to_owned(),
    });
    (project, lock)
}

#[test]
fn a_dockerfile_installs_conda_packages_too() {
    let (project, lock) = with_conda();
    let text = project.exported(&lock, ExportFormat::Dockerfile);
    let (head, rest) = text.split_once("FROM debian").unwrap();
    let (_, rest) = rest.split_once("\nFROM debian").unwrap();
    let shown = project.shown(&format!("{head}...\nFROM debian{rest}"), &lock);
    insta::assert_snapshot!(shown, @r##"
    # Made of the lockfile DIGEST for linux/amd64, Python 3.11.9 by `envbox export dockerfile`.
    # Scripts that conda packages have for their installation are not run, and `conda-meta` names files
    # of the build in the place of channels.
    ...
    FROM debian:bookworm-slim AS conda
    RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv
    RUN printf '%s\n' \
            'pip==24.3.1 --hash=sha256:3790624780082365f47549d032f3770eeb2b1e8bd1f7b2e02dace1afa361b4ed' \
            'py-rattler==0.28.0 --hash=sha256:4f4ab1d34d5394e7ce130a86e59009c95ace4f5757d9c3af04de1351bcea47eb --hash=sha256:61b24202374188e72130f1b3dc63b455befaafc3e49e5481a38b6a6c8828c1e0' > /tools.txt \
     && python3 -m venv /tools \
     && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /tools.txt
    RUN printf '%s\n' \
            'https://conda.example/lab/linux-64/python-3.11.9-h0_0.conda#sha256:b93ee737f2e8675efc841f5c2d05d06d16e74949f90a5cad6eaab62d582cb91f' \
            'https://conda.example/lab/linux-64/zlib-1.3-h0_0.conda#sha256:04a0ca69d75feae1335e7409faa5f0445450e21fbeb2d71777487ecf8a7ea4e6' \
            'https://conda.example/lab/linux-64/tool-1!2.0-cuda_0.conda#sha256:6e220d59fb0b9e173676416a4c891c573d711c469cf254f1e34fe09a535957b2' > /packages.txt
    RUN printf '%s\n' \
            '"""Installs the packages of /packages.txt, each a URL with its digest, into /opt/env."""' \
            'import asyncio, os' \
            'from rattler import Client, RepoDataRecord, install' \
            'from rattler.package_streaming import download_to_path' \
            'client, few = Client(), asyncio.Semaphore(8)' \
            'async def fetched(line):' \
            '    url, digest = line.split("#sha256:")' \
            '    file = "/packages/" + url.rsplit("/", 1)[1]' \
            '    async with few:' \
            '        await download_to_path(client, url, file)' \
            '        record = await RepoDataRecord.from_package_archive(file)' \
            '    if record.sha256.hex() != digest:' \
            '        raise SystemExit(f"{url} has another digest: {record.sha256.hex()}")' \
            '    return record' \
            'async def main():' \
            '    os.mkdir("/packages")' \
            '    records = await asyncio.gather(*map(fetched, open("/packages.txt").read().split()))' \
            '    await install(records, "/opt/env", show_progress=False)' \
            'asyncio.run(main())' \
            '# The interpreter aborts at its end when it has to wait for threads of rattler.' \
            'os._exit(0)' > /install.py \
     && /tools/bin/python /install.py

    FROM base AS python
    ENV DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1
    COPY --from=conda /opt/env /opt/env
    COPY --from=conda /tools/lib/python3.11/site-packages/pip /pip/pip
    RUN printf '%s\n' \
            'app==1 --hash=sha256:3454b6cd6947cf1c18b38179f54237c9a4228277a5ffe0ca2ff9c9324ce4139b' \
            'library==1.5+local --hash=sha256:acd2c5c40900608a4c45ee5f6ce9e95468df4cb65a4049f713f8b81ca7596455' \
            'other==1 --hash=sha256:21380a3413f69792841e5385647efe7b7eb10c7caeb82909822370eb77257bf0' > /requirements.txt \
     && PYTHONPATH=/pip /opt/env/bin/python3.11 -m pip install --no-cache-dir --no-deps --ignore-installed --require-hashes --only-binary :all: -r /requirements.txt

    FROM base
    COPY --from=python /opt/env /opt/env
    ENV PATH="/opt/env/bin:/usr/bin:/bin" \
        CONDA_DEFAULT_ENV="/opt/env" \
        CONDA_PREFIX="/opt/env" \
        CONDA_SHLVL="1" \
        NOTE="it's \"\$5\" \\ é"
    CMD ["/opt/env/bin/python3.11"]
    "##);
    let mut bare = lock.clone();
    bare.python.clear();
    let text = project.exported(&bare, ExportFormat::Dockerfile);
    let (_, rest) = text.split_once("/install.py\n").unwrap();
    insta::assert_snapshot!(rest.trim_start(), @r#"
    FROM base
    COPY --from=conda /opt/env /opt/env
    ENV PATH="/opt/env/bin:/usr/bin:/bin" \
        CONDA_DEFAULT_ENV="/opt/env" \
        CONDA_PREFIX="/opt/env" \
        CONDA_SHLVL="1" \
        NOTE="it's \"\$5\" \\ é"
    CMD ["/opt/env/bin/python3.11"]
    "#);
    // Packages need no Python among them.
    bare.interpreter = None;
    let text = project.exported(&bare, ExportFormat::Dockerfile);
    let (_, without) = text.split_once("/install.py\n").unwrap();
    let command = "CMD [\"/opt/env/bin/python3.11\"]\n";
    assert_eq!(rest.strip_suffix(command), Some(without));
}

#[test]
fn what_a_dockerfile_cannot_hold_of_conda_is_told() {
    let told = |change: &dyn Fn(&mut Project, &mut Lockfile)| {
        let (mut project, mut lock) = with_conda();
        change(&mut project, &mut lock);
        let text = project.exported(&lock, ExportFormat::Dockerfile);
        project.shown(&text, &lock)
    };
    let scripts = |names: &[&str]| {
        told(&|_, lock| {
            let conda = lock.request.conda.as_mut().unwrap();
            conda.link_scripts = names.iter().map(|name| name.parse().unwrap()).collect();
        })
    };
    // Of a package that is not there, nothing is lacking.
    let told_nothing = scripts(&["other"]);
    assert!(told_nothing.contains("\nFROM base\n"), "{told_nothing}");
    let shown = [
        scripts(&["other", "tool", "zlib"]),
        told(&|project, _| project.place("own", "channel")),
        told(&|_, lock| lock.conda.activation[0].value.push('\n')),
        told(&|_, lock| lock.conda.activation[0].name.push(' ')),
    ];
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
    User error: the lockfile has link scripts of `tool`, `zlib`, which a Dockerfile cannot hold
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has a package at `file://DIRECTORY/channel/linux-64/python-3.11.9-h0_0.conda`, which a Dockerfile cannot hold
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has a variable `NOTE` with the value "it's \"$5\" \\ é\n", which a Dockerfile cannot hold
    hint: choose another format: `envbox export --help` lists them

    User error: the lockfile has a variable `NOTE ` with the value "it's \"$5\" \\ é", which a Dockerfile cannot hold
    hint: choose another format: `envbox export --help` lists them
    "#);
}
