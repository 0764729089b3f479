package vmtest

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
)

// prngName is a library that Go programs ask for random numbers since Go 1.22 and that Wine has since version 9.
const prngName = "bcryptprimitives.dll"

// prngLibrary returns one without code: its only function is that of another library.
func prngLibrary() []byte {
	const start, alignment = 0x1000, 0x200 // of its only section, in memory and in the file
	exports := prngExports(start)
	header := &bytes.Buffer{}
	write := func(v any) { binary.Write(header, binary.LittleEndian, v) } // which fails for no fixed-size value

	header.WriteString("MZ")
	header.Write(make([]byte, 58))
	write(uint32(64)) // where the next header is
	header.WriteString("PE\x00\x00")
	write(pe.FileHeader{
		Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 1, SizeOfOptionalHeader: 240,
		Characteristics: pe.IMAGE_FILE_EXECUTABLE_IMAGE | pe.IMAGE_FILE_LARGE_ADDRESS_AWARE | pe.IMAGE_FILE_DLL,
	})
	write(pe.OptionalHeader64{
		Magic: 0x20b, ImageBase: 0x1_8000_0000, SectionAlignment: start, FileAlignment: alignment,
		MajorOperatingSystemVersion: 6, MajorSubsystemVersion: 6, SizeOfInitializedData: alignment,
		SizeOfImage: 2 * start, SizeOfHeaders: alignment, Subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_GUI,
		DllCharacteristics: pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT, NumberOfRvaAndSizes: 16,
		DataDirectory: [16]pe.DataDirectory{{VirtualAddress: start, Size: uint32(len(exports))}},
	})
	write(pe.SectionHeader32{
		Name: [8]uint8([]byte(".edata\x00\x00")), VirtualSize: uint32(len(exports)), VirtualAddress: start,
		SizeOfRawData: alignment, PointerToRawData: alignment,
		Characteristics: pe.IMAGE_SCN_CNT_INITIALIZED_DATA | pe.IMAGE_SCN_MEM_READ,
	})
	library := make([]byte, 2*alignment)
	copy(library, header.Bytes())
	copy(library[alignment:], exports)
	return library
}

// prngExports is an export directory with its tables and strings, at an address: ProcessPrng is a forwarder, since its
// address is that of a name within the directory.
func prngExports(address uint32) []byte {
	const directory = 40
	const functions, names, ordinals = directory, directory + 4, directory + 8
	strings := []string{prngName, "ProcessPrng", "ADVAPI32.SystemFunction036"}
	b := make([]byte, directory+12)
	var at [3]uint32
	for i, s := range strings {
		at[i] = address + uint32(len(b))
		b = append(append(b, s...), 0)
	}
	for offset, value := range map[int]uint32{
		12: at[0],
		16: 1, 20: 1, 24: 1, // the first ordinal, one function, one name
		28: address + functions, 32: address + names, 36: address + ordinals,
		functions: at[2], names: at[1], // ordinals: the first function
	} {
		binary.LittleEndian.PutUint32(b[offset:], value)
	}
	return b
}
