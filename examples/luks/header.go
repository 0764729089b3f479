package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
)

// binaryHeader is the start of a LUKS2 header, of which there are two. Specification of LUKS2, section 2.1.
type binaryHeader struct {
	Magic             [6]byte
	Version           uint16
	Size              uint64 // of the header, with the metadata in JSON that follow
	SequenceID        uint64 // the header with the greater one is newer
	Label             [48]byte
	ChecksumAlgorithm [32]byte
	Salt              [64]byte
	UUID              [40]byte
	Subsystem         [48]byte
	Offset            uint64 // of the header in the volume
	_                 [184]byte
	Checksum          [64]byte // of the header with zeroes in this place
}

const (
	checksumOffset = 448
	checksumSize   = 64

	binaryArea = 4096 // bytes of the binary header in the volume
	minHeader  = 16 << 10
	maxHeader  = 4 << 20
)

var (
	magic       = [6]byte{'L', 'U', 'K', 'S', 0xba, 0xbe}
	secondMagic = [6]byte{'S', 'K', 'U', 'L', 0xba, 0xbe}

	errNoHeader     = errors.New("no LUKS2 header")
	errBrokenHeader = errors.New("the LUKS2 header is broken")
)

// readMetadata returns the JSON of the newer of a volume's two headers, or of the one that is whole, padded with zeroes.
// The volume may say anything.
func readMetadata(volume io.ReaderAt) ([]byte, error) {
	first, data, err := readHeader(volume, 0, magic)
	if err != nil {
		return readSecond(volume, err)
	}
	second, newer, err := readHeader(volume, first.Size, secondMagic)
	if err == nil && second.SequenceID > first.SequenceID {
		data = newer
	}
	return data, nil
}

// readSecond looks for the second header where the size of the first, which is one of nine, could have put it. Without
// any, the first one's error says more.
func readSecond(volume io.ReaderAt, err error) ([]byte, error) {
	for size := uint64(minHeader); size <= maxHeader; size *= 2 {
		header, data, secondErr := readHeader(volume, size, secondMagic)
		if secondErr == nil && header.Size == size {
			return data, nil
		}
	}
	return nil, err
}

// readHeader returns a header and its metadata, if it is whole and where it belongs.
func readHeader(volume io.ReaderAt, offset uint64, magic [6]byte) (*binaryHeader, []byte, error) {
	h := &binaryHeader{}
	err := binary.Read(io.NewSectionReader(volume, int64(offset), binaryArea), binary.BigEndian, h)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), err == nil && (h.Magic != magic || h.Version != 2):
		return nil, nil, errNoHeader
	case err != nil:
		return nil, nil, err
	case h.Offset != offset, h.Size < minHeader, h.Size > maxHeader:
		return nil, nil, errBrokenHeader
	}
	data := make([]byte, h.Size)
	if _, err := volume.ReadAt(data, int64(offset)); err != nil {
		return nil, nil, errBrokenHeader
	}
	if !h.sums(data) {
		return nil, nil, errBrokenHeader
	}
	return h, data[binaryArea:], nil
}

// sums says whether the checksum is right, which is SHA-256 in all that cryptsetup has written so far.
func (h *binaryHeader) sums(data []byte) bool {
	if string(bytes.TrimRight(h.ChecksumAlgorithm[:], "\x00")) != "sha256" {
		return false
	}
	clear(data[checksumOffset : checksumOffset+checksumSize])
	sum := sha256.Sum256(data)
	return bytes.Equal(sum[:], h.Checksum[:sha256.Size])
}
