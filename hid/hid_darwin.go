package hid

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/ebitengine/purego"
)

func list() ([]Info, error) {
	k, err := loadIOKit()
	if err != nil {
		return nil, fmt.Errorf("hid: list: %w", err)
	}
	return k.list()
}

func open(path string) (*Device, error) {
	k, err := loadIOKit()
	if err != nil {
		return nil, fmt.Errorf("hid: open %s: %w", path, err)
	}
	return k.open(path)
}

func changes(ctx context.Context) (<-chan struct{}, error) {
	k, err := loadIOKit()
	if err != nil {
		return nil, fmt.Errorf("hid: watch: %w", err)
	}
	return k.changes(ctx)
}

// loadIOKit finds the system's functions when they are first needed. They stay.
var loadIOKit = sync.OnceValues(func() (*iokit, error) {
	k := new(iokit)
	if err := bind(&k.ioFunctions); err != nil {
		return nil, err
	}
	k.callbacks = ioCallbacks{
		report: purego.NewCallback(func(
			token uintptr, result uint32, _ uintptr, kind, _ uint32, report *byte, size int,
		) {
			k.reportArrived(token, ioReturn(result), kind, report, size)
		}),
		removed: purego.NewCallback(func(token uintptr, _ uint32, _ uintptr) { k.deviceRemoved(token) }),
		matched: purego.NewCallback(func(token uintptr, iterator uint32) { k.servicesMatched(token, ioObject(iterator)) }),
		perform: purego.NewCallback(func(uintptr) {}),
	}
	return k, nil
})

// frameworks are where the functions are, by how their names begin.
var frameworks = map[string]string{
	"CF": "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
	"IO": "/System/Library/Frameworks/IOKit.framework/IOKit",
}

// bind sets each member to the C function of its name. It looks for the function first: purego panics where there is none.
func bind(functions *ioFunctions) error {
	libraries := make(map[string]uintptr)
	for prefix, path := range frameworks {
		library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if err != nil {
			return err
		}
		libraries[prefix] = library
	}
	for field, value := range reflect.ValueOf(functions).Elem().Fields() {
		function, err := purego.Dlsym(libraries[field.Name[:2]], field.Name)
		if err != nil {
			return err
		}
		purego.RegisterFunc(value.Addr().Interface(), function)
	}
	return nil
}
