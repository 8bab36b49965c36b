const t=Date.now(), p=performance.now(); console.log(new Date(t).toISOString(), Math.random());
setTimeout(()=>{console.log('timeout', Date.now()-t>=50, performance.now()-p>=49);
 let n=0; const i=setInterval(()=>{ if(++n==5){clearInterval(i); console.log('interval');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0,50); console.log('atomics');
  console.log(require('child_process').spawnSync('sleep',['100'],{timeout:100}).error.code);
  const {Worker}=require('worker_threads'); new Worker("require('worker_threads').parentPort.postMessage(require('crypto').randomBytes(4).toString('hex'))",{eval:true}).on('message',m=>{console.log('worker',m)});
 }},10)},50);
