package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

func main() {
	t0 := time.Now()
	fmt.Println(t0.UTC())
	tk := time.NewTicker(20 * time.Millisecond)
	n := 0
	for range tk.C {
		n++
		if n == 5 {
			break
		}
	}
	fmt.Println("ticks", n, time.Since(t0) >= 90*time.Millisecond)
	select {
	case <-time.After(50 * time.Millisecond):
		fmt.Println("after")
	}
	ctx, c := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer c()
	<-ctx.Done()
	fmt.Println(ctx.Err())
	var wg sync.WaitGroup
	for i := 0; i < 50; i++ {
		wg.Add(1)
		go func(i int) { defer wg.Done(); time.Sleep(time.Duration(i) * time.Millisecond) }(i)
	}
	wg.Wait()
	fmt.Println("slept")
	ctx2, c2 := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer c2()
	fmt.Println(exec.CommandContext(ctx2, "sleep", "100").Run())
	tm := time.AfterFunc(time.Hour, func() {})
	fmt.Println(tm.Stop())
}
