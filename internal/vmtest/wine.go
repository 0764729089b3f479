package vmtest

import (
	"fmt"
	"os"
	"path"
)

// What of Wine a program without windows needs: the programs that every Wine starts, and what they load. There are some
// 700 more.
var (
	wineServices = []string{
		"conhost.exe", "explorer.exe", "plugplay.exe", "rpcss.exe", "services.exe", "start.exe", "svchost.exe",
		"wineboot.exe", "winedevice.exe", "winemenubuilder.exe",
	}
	wineDrivers = []string{
		"hidclass.sys", "hidparse.sys", "mountmgr.sys", "ndis.sys", "nsiproxy.sys", "winebus.sys", "winehid.sys",
	}
	wineLibraries = []string{
		"actxprxy.dll", "advapi32.dll", "apisetschema.dll", "bcrypt.dll", "cfgmgr32.dll", "combase.dll", "crypt32.dll", "dnsapi.dll",
		"gdi32.dll", "hid.dll", "imm32.dll", "iphlpapi.dll", "kernel32.dll", "kernelbase.dll", "msvcrt.dll", "nsi.dll",
		"ntdll.dll", "ntoskrnl.exe", "ole32.dll", "oleaut32.dll", "powrprof.dll", "propsys.dll", "rpcrt4.dll",
		"sechost.dll", "setupapi.dll", "shcore.dll", "shell32.dll", "shlwapi.dll", "ucrtbase.dll", "user32.dll",
		"userenv.dll", "uxtheme.dll", "version.dll", "wevtsvc.dll", "win32u.dll", "windowscodecs.dll", "ws2_32.dll",
		"zlib1.dll",
	}
	wineUnixHalves = []string{ // of libraries and drivers that have one
		"bcrypt.so", "crypt32.so", "dnsapi.so", "mountmgr.so", "nsiproxy.so", "ntdll.so", "win32u.so", "winebus.so",
		"ws2_32.so",
	}
)

// Where Wine looks for its parts, as in Debian. Package guest makes a C: drive of them.
const (
	wineBin      = "usr/lib/wine/"
	wineUnix     = "usr/lib/x86_64-linux-gnu/wine/x86_64-unix/"
	wineWindows  = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/"
	wineShare    = "usr/share/wine/"
	wineRegistry = "wine/registry/" // this and what follows are places of our own
	wineInf      = "wine/inf/"
	winePrograms = "wine/bin/"
)

// wine adds Wine from a folder that fetch.sh has prepared.
func (m *image) wine(packages string) error {
	if err := m.index(packages); err != nil {
		return err
	}
	for _, name := range []string{"wine64", "wineserver"} {
		if err := m.program(m.path(name), wineBin+name); err != nil {
			return err
		}
	}
	for _, name := range wineUnixHalves {
		if err := m.program(m.path(name), wineUnix+name); err != nil {
			return err
		}
	}
	for _, list := range [][]string{wineServices, wineDrivers, wineLibraries} {
		for _, name := range list {
			if err := m.copy(name, wineWindows+name); err != nil {
				return err
			}
		}
	}
	// What pthread_exit loads when a thread ends.
	if err := m.program(m.path("libgcc_s.so.1"), "lib/libgcc_s.so.1"); err != nil {
		return err
	}
	m.file(wineWindows+prngName, 0o644, prngLibrary())
	return m.wineData()
}

// wineData adds character tables, the registry and the descriptions of drivers.
func (m *image) wineData() error {
	for name := range m.packages {
		dir := ""
		switch extension := path.Ext(name); {
		case extension == ".nls":
			dir = wineShare + "nls/"
		case name == "wine.inf":
			dir = wineShare
		case extension == ".inf" || extension == ".pnf":
			dir = wineInf
		case extension == ".reg":
			dir = wineRegistry
		default:
			continue
		}
		if err := m.copy(name, dir+name); err != nil {
			return err
		}
	}
	return nil
}

// copy adds a file of the packages as it is.
func (m *image) copy(name, target string) error {
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	m.file(target, 0o644, data)
	return nil
}
