import multiprocessing as mp, concurrent.futures as cf, asyncio, time, subprocess, sys, os
def f(x): time.sleep(.01); return x*x
async def a():
    try: await asyncio.wait_for(asyncio.sleep(100),.05)
    except asyncio.TimeoutError: print('asyncio timeout')
    async with asyncio.timeout(5): print(await asyncio.gather(*[asyncio.sleep(i/100,i) for i in range(5)]))
if __name__=='__main__':
    for m in ('fork','spawn','forkserver'):
        with mp.get_context(m).Pool(2) as p: print(m, sorted(p.imap_unordered(f,range(8))), p.map_async(f,range(3)).get(timeout=10))
        with cf.ProcessPoolExecutor(2,mp_context=mp.get_context(m)) as e: print(list(e.map(f,range(5),timeout=30)))
    with cf.ThreadPoolExecutor(4) as e:
        print(len(cf.wait([e.submit(time.sleep,.01*i) for i in range(8)],timeout=30).done))
    asyncio.run(a())
    try: subprocess.run(['sleep','100'],timeout=.1)
    except subprocess.TimeoutExpired: print('subprocess timeout')
    # Its processes too, which one processor would not start.
    os.environ['JOBLIB_MULTIPROCESSING'] = '1'
    from joblib import Parallel, delayed
    print('joblib', Parallel(n_jobs=2)(delayed(f)(x) for x in range(8)))
