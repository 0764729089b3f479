package hid

import (
	"context"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// changes has Windows call back when a HID interface comes or goes. Windows 7 and Wine have no such call, so there it
// looks every second.
func changes(ctx context.Context) (<-chan struct{}, error) {
	if procRegisterNotification.Find() != nil {
		return poll(ctx, pollInterval), nil
	}
	id, changed := subscribers.add()
	filter := notifyFilter{size: uint32(unsafe.Sizeof(notifyFilter{})), class: hidInterfaces}
	var handle uintptr
	if err := callCM(procRegisterNotification, uintptr(unsafe.Pointer(&filter)), id, notified(),
		uintptr(unsafe.Pointer(&handle))); err != nil {
		subscribers.remove(id)
		return nil, fmt.Errorf("hid: watch: %w", err)
	}
	go func() {
		<-ctx.Done()
		callCM(procUnregisterNotification, handle) // which waits for a callback that runs
		subscribers.remove(id)
	}()
	return changed, nil
}

// notifyFilter is CM_NOTIFY_FILTER for device interfaces, which is type 0. Its union has room for an instance ID.
type notifyFilter struct {
	size, flags, kind, _ uint32
	class                windows.GUID
	_                    [200*2 - unsafe.Sizeof(windows.GUID{})]byte
}

// notified returns the one callback for all subscriptions, since callbacks are never freed. It runs in a thread of Windows,
// and whatever happened, it is worth a look.
var notified = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(_, id, _, _, _ uintptr) uintptr {
		subscribers.notify(id)
		return 0
	})
})

var subscribers subscriptions
