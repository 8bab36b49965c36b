"""Installs the packages of /packages.txt, each a URL with its digest, into /opt/env."""
import asyncio, os
from rattler import Client, RepoDataRecord, install
from rattler.package_streaming import download_to_path
client, few = Client(), asyncio.Semaphore(8)
async def fetched(line):
    url, digest = line.split("#sha256:")
    file = "/packages/" + url.rsplit("/", 1)[1]
    async with few:
        await download_to_path(client, url, file)
        record = await RepoDataRecord.from_package_archive(file)
    if record.sha256.hex() != digest:
        raise SystemExit(f"{url} has another digest: {record.sha256.hex()}")
    return record
async def main():
    os.mkdir("/packages")
    records = await asyncio.gather(*map(fetched, open("/packages.txt").read().split()))
    await install(records, "/opt/env", show_progress=False)
asyncio.run(main())
# The interpreter aborts at its end when it has to wait for threads of rattler.
os._exit(0)
