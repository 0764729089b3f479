package hid

import (
	"runtime"
	"sync/atomic"
)

// ioLoop is a thread with a run loop, which is what IOKit's callbacks are made on. There is one for each open device and
// for each Watch: it costs nothing while nothing happens, and nobody has to know who else needs it.
type ioLoop struct {
	k       *iokit
	mode    cfRef // of its own; nothing else runs in it
	stopper cfRef // the source that wakes the loop to stop it
	ref     cfRef // the run loop, which lives as long as its thread

	stopped atomic.Bool
	stop    chan struct{} // closed when nobody touches ref any more
	done    chan struct{} // closed at the end of the thread
}

// startLoop runs attach in the thread of a new loop, and detach there when the loop ends. If attach fails, there is no loop
// and no detach.
func (k *iokit) startLoop(attach func(*ioLoop) error, detach func(*ioLoop)) (*ioLoop, error) {
	l := &ioLoop{k: k, stop: make(chan struct{}), done: make(chan struct{})}
	l.mode = k.string("keyfob")
	l.stopper = k.CFRunLoopSourceCreate(0, 0, &cfSourceContext{perform: k.callbacks.perform})
	attached := make(chan error)
	go func() {
		defer close(l.done)
		runtime.LockOSThread() // and never unlock: the thread ends, and the run loop with it
		l.run(attach, detach, attached)
	}()
	if err := <-attached; err != nil {
		<-l.done
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *ioLoop) run(attach func(*ioLoop) error, detach func(*ioLoop), attached chan<- error) {
	l.ref = l.k.CFRunLoopGetCurrent()
	l.k.CFRunLoopAddSource(l.ref, l.stopper, l.mode)
	defer l.k.CFRunLoopRemoveSource(l.ref, l.stopper, l.mode)
	err := attach(l)
	attached <- err
	if err != nil {
		return
	}
	defer detach(l)
	const forever = 1e9 // seconds; some 30 years
	for !l.stopped.Load() && l.k.CFRunLoopRunInMode(l.mode, forever, true) != cfRunLoopFinished {
	}
	<-l.stop
}

// cfRunLoopFinished says that a loop has no source at all. That can't be, and isn't worth spinning for.
const cfRunLoopFinished = 1

// end stops the loop and returns when its thread is done. A signal stays until the loop sees it, even if it comes before
// the loop runs, which is why there is a source for it: CFRunLoopStop would be lost then.
func (l *ioLoop) end() {
	l.stopped.Store(true)
	l.k.CFRunLoopSourceSignal(l.stopper)
	l.k.CFRunLoopWakeUp(l.ref)
	close(l.stop)
	<-l.done
	l.release()
}

func (l *ioLoop) release() {
	l.k.CFRelease(l.stopper)
	l.k.CFRelease(l.mode)
}
