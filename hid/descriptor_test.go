package hid

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/seeds"
)

// keyDescriptor is what nearly every key has, byte for byte: read from a YubiKey 5 and from a SoloKeys Solo 3.1.2.
const keyDescriptor = "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"

const (
	keyboard         = "0501 0906 a101 8501" + keys
	bootKeyboard     = "0501 0906 a101" + keys
	keys             = "0507 19e0 29e7 1500 2501 7501 9508 8102 9505 0508 1901 2905 9102 9503 9101 c0"
	numberedKey      = "06d0f1 0901 a101 8502 0920 1500 26ff00 7508 953f 8102 0921 7508 953f 9102 c0"
	mouse            = "0501 0902 a101 0901 a100 0509 1901 2903 1500 2501 9503 7501 8102 9501 7505 8103 c0 c0"
	vendor           = "0600ff 0901 a101 0920 7508 9520 8102 0921 9520 9102 c0"
	unnumberedReport = "7508 9540 8102 9102"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func TestParseDescriptor(t *testing.T) {
	t.Parallel()
	plain := reports{report{0, 64}, report{0, 64}}
	for _, tc := range []struct {
		name, descriptor string
		want             reports
	}{
		{"YubiKey 5, Solo", keyDescriptor, plain},
		{"Linux USB gadget: usage limits in place of logical limits",
			"06d0f1 0901 a101 0920 1900 29ff 7508 9540 8102 0921 1900 29ff 7508 9540 9102 c0", plain},
		{"usages other than 0x20 and 0x21", "06d0f1 0901 a101 0901 7508 9540 8102 0981 9540 9102 c0", plain},
		{"sizes that differ", "06d0f1 0901 a101 7508 9520 8102 9608 00 9102 c0", reports{report{0, 32}, report{0, 8}}},
		{"keyboard first, numbered reports", keyboard + numberedKey, reports{report{2, 63}, report{2, 63}}},
		{"keyboard last, numbered reports", numberedKey + keyboard, reports{report{2, 63}, report{2, 63}}},
		{"keyboard first, no numbers", bootKeyboard + keyDescriptor, plain},
		{"vendor collection first", vendor + keyDescriptor, plain},
		{"nested collections around it", mouse + keyDescriptor, plain},
		{"nested collections inside it", "06d0f1 0901 a101 a102 7508 9540 8102 a100 c0 c0 9102 c0", plain},
		{"inside another collection", "0600ff 0901 a100" + keyDescriptor + "c0", plain},
		{"usage of 4 bytes brings its page", "0501 0b0100d0f1 a101" + unnumberedReport + "c0", plain},
		{"page after the usage", "0901 06d0f1 a101" + unnumberedReport + "c0", plain},
		{"page in 4 bytes", "07d0f10000 0901 a101" + unnumberedReport + "c0", plain},
		{"usage in 2 bytes", "06d0f1 0a0100 a101" + unnumberedReport + "c0", plain},
		{"first of two usages", "06d0f1 0901 0902 a101" + unnumberedReport + "c0", plain},
		{"push and pop restore the sizes", "06d0f1 0901 7508 9540 a4 7501 9503 0501 b4 a101 8102 9102 c0", plain},
		{"long item in between", "06d0f1 fe0399 c0c0c0 0901 a101" + unnumberedReport + "c0", plain},
		{"fields that add up", "06d0f1 0901 a101 7508 9501 8102 953f 8102 9540 9102 c0", plain},
		{"bits that don't fill the last byte",
			"06d0f1 0901 a101 7501 95f9 8102 9102 c0", reports{report{0, 32}, report{0, 32}}},
		{"one field of many bits", "06d0f1 0901 a101 760002 9501 8102 9102 c0", plain},
		{"feature reports don't count", "06d0f1 0901 a101 7508 9540 8102 9102 95ff b102 c0", plain},
		{"second report number doesn't count",
			"06d0f1 0901 a101 8502 7508 953f 8102 9102 8503 9520 8102 9102 c0", reports{report{2, 63}, report{2, 63}}},
		{"a number for each direction",
			"06d0f1 0901 a101 8502 7508 953f 8102 8503 9102 c0", reports{report{2, 63}, report{3, 63}}},
		{"second FIDO collection doesn't count",
			keyDescriptor + "06d0f1 0901 a101 7508 9520 8102 9102 c0", plain},
		{"largest report", "06d0f1 0901 a101 7508 960010 8102 9540 9102 c0", reports{report{0, 4096}, report{0, 64}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, isFIDO, err := parseDescriptor(unhex(t, tc.descriptor))
			require.NoError(t, err)
			require.True(t, isFIDO)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestParseDescriptorRefuses(t *testing.T) {
	t.Parallel()
	const open = "06d0f1 0901 a101"
	for _, tc := range []struct {
		name, descriptor string
		isFIDO           bool
		want             string
	}{
		{"nothing", "", false, "not a FIDO key"},
		{"keyboard", bootKeyboard, false, "not a FIDO key"},
		{"FIDO page, other usage", "06d0f1 0902 a101" + unnumberedReport + "c0", false, "not a FIDO key"},
		{"FIDO page, no usage", "06d0f1 a101" + unnumberedReport + "c0", false, "not a FIDO key"},
		{"FIDO usage spent on an earlier main item",
			"06d0f1 0901 a102 c0 a101" + unnumberedReport + "c0", false, "not a FIDO key"},
		{"not the first usage", "06d0f1 0902 0901 a101" + unnumberedReport + "c0", false, "not a FIDO key"},
		{"physical collection", "06d0f1 0901 a100" + unnumberedReport + "c0", false, "not a FIDO key"},
		{"FIDO bytes inside a long item", "fe0799 06d0f10901a101", false, "not a FIDO key"},
		{"no input", open + "7508 9540 9102 c0", true, "lacks"},
		{"no output", open + "7508 9540 8102 c0", true, "lacks"},
		{"output outside the collection", open + "7508 9540 8102 c0 9102", true, "lacks"},
		{"report count 0", open + "7508 9500 8102 9102 c0", true, "lacks"},
		{"one byte too large", open + "7508 960110 8102 9102 c0", true, "more than 4096 bytes"},
		{"too large in sum", open + "7508 960010 8102 9501 8102 9102 c0", true, "more than 4096 bytes"},
		{"size times count overflows 32 bits", open + "7700000001 9700010000 8102 9102 c0", true, "more than 4096 bytes"},
		{"size times count is huge", open + "77ffffffff 97ffffffff 8102 9102 c0", true, "more than 4096 bytes"},
		{"report ID 0", open + "8500" + unnumberedReport + "c0", true, "report ID 0"},
		{"report ID 256", open + "860001" + unnumberedReport + "c0", true, "report ID 256"},
		{"collection left open", open + unnumberedReport, true, "truncated"},
		{"end without a collection", "c0" + keyDescriptor, false, "never opened"},
		{"pop without push", "b4" + keyDescriptor, false, "never pushed"},
		{"pushed too deep", strings.Repeat("a4", maxPushed+1) + keyDescriptor, false, "too deep"},
		{"item cut off", open + "26ff", true, "truncated"},
		{"long item without a size", "fe", false, "truncated"},
		{"long item cut off", "fe0499 000000", false, "truncated"},
		{"too long", strings.Repeat("00", maxDescriptor+1), false, "too long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, isFIDO, err := parseDescriptor(unhex(t, tc.descriptor))
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, tc.isFIDO, isFIDO)
			require.Zero(t, got)
		})
	}
}

func TestParseDescriptorTruncatedAnywhere(t *testing.T) {
	t.Parallel()
	whole := unhex(t, keyDescriptor)
	for n := range whole {
		_, isFIDO, err := parseDescriptor(whole[:n])
		require.Error(t, err, "first %d bytes", n)
		require.Equal(t, n >= 7, isFIDO, "first %d bytes", n)
	}
}

// encode writes a descriptor that parses to r.
func (r reports) encode() []byte {
	b := []byte{0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x75, 0x08}
	b = r.in.encode(b, tagInput)
	b = r.out.encode(b, tagOutput)
	return append(b, tagEndCollection)
}

func (r report) encode(b []byte, tag byte) []byte {
	if r.number != 0 {
		b = append(b, tagReportID|1, r.number)
	}
	return append(b, tagReportCount|2, byte(r.size), byte(r.size>>8), tag|1, 0x02)
}

func FuzzParseDescriptor(f *testing.F) {
	seeds.Add(f, "descriptors")
	for _, s := range []string{keyDescriptor, keyboard + numberedKey, bootKeyboard, mouse + vendor + keyDescriptor,
		"a4 0501 0b0100d0f1 b4 a101 fe0199 00" + unnumberedReport + "c0", "77ffffffff 97ffffffff 8102"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, isFIDO, err := parseDescriptor(b)
		if err != nil {
			require.Zero(t, r)
			return
		}
		require.True(t, isFIDO)
		for _, size := range []int{r.in.size, r.out.size} {
			require.Positive(t, size)
			require.LessOrEqual(t, size, maxReport)
		}
		if r.in.number != 0 && r.out.number == 0 {
			return // an output report from before the first report ID: encode writes the input report first
		}
		again, _, err := parseDescriptor(r.encode())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
