package webauthn

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const fullResults = `{
	"appid": true, "appidExclude": false, "credProps": {"rk": true}, "hmacCreateSecret": true,
	"hmacGetSecret": {"output1": "AQ", "output2": "Ag"}, "credBlob": false, "getCredBlob": "",
	"prf": {"enabled": true, "results": {"first": "-_8", "second": ""}},
	"largeBlob": {"supported": false, "blob": "YmxvYg", "written": true},
	"uvm": [[2, 4, 2]], "x": 1e3
}`

func fullExtensionResults() ExtensionResults {
	return ExtensionResults{
		AppID: new(true), AppIDExclude: new(false), CredProps: &CredentialProperties{ResidentKey: new(true)},
		HMACCreateSecret: new(true), HMACGetSecret: &HMACSecrets{Output1: []byte{1}, Output2: []byte{2}},
		CredBlob: new(false), GetCredBlob: []byte{},
		PRF: &PRFResults{
			Enabled: new(true), Results: &PRFValues{First: []byte{0xfb, 0xff}, Second: []byte{}},
		},
		LargeBlob: &LargeBlobResults{Supported: new(false), Blob: []byte("blob"), Written: new(true)},
		Other:     map[string]json.RawMessage{"uvm": json.RawMessage("[[2, 4, 2]]"), "x": json.RawMessage("1e3")},
	}
}

func TestExtensionResults(t *testing.T) {
	t.Parallel()
	var r ExtensionResults
	require.NoError(t, json.Unmarshal([]byte(fullResults), &r))
	require.Equal(t, fullExtensionResults(), r)
	b, err := json.Marshal(r)
	require.NoError(t, err)
	require.JSONEq(t, fullResults, string(b))

	names, err := r.names()
	require.NoError(t, err)
	require.Equal(t, []string{
		"appid", "appidExclude", "credBlob", "credProps", "getCredBlob", "hmacCreateSecret", "hmacGetSecret", "largeBlob", "prf",
		"uvm", "x",
	}, names)
	for _, name := range names[:len(names)-2] {
		require.Contains(t, resultReaders, name)
	}
	require.Len(t, resultReaders, len(names)-2)
}

func TestExtensionResultsOfNothing(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{}`, `{"prf":null,"x":null}`} {
		r := fullExtensionResults()
		require.NoError(t, json.Unmarshal([]byte(in), &r))
		require.Equal(t, ExtensionResults{}, r)
	}
	b, err := json.Marshal(ExtensionResults{})
	require.NoError(t, err)
	require.Equal(t, `{}`, string(b))

	var r ExtensionResults
	const hollow = `{"credProps":{},"largeBlob":{},"prf":{}}`
	require.NoError(t, json.Unmarshal([]byte(hollow), &r))
	require.Equal(t, ExtensionResults{
		CredProps: new(CredentialProperties), PRF: new(PRFResults), LargeBlob: new(LargeBlobResults),
	}, r)
	b, err = json.Marshal(r)
	require.NoError(t, err)
	require.Equal(t, hollow, string(b))
}

// What a web page does wrong with one extension is no reason to refuse the user.
func TestExtensionResultsKeepWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]string{
		"appid": `"true"`, "appidExclude": `1`, "credProps": `true`, "hmacCreateSecret": `{}`, "hmacGetSecret": `{"output2":"AQ"}`,
		"credBlob": `"AQ"`, "getCredBlob": `"?"`, "prf": `{"enabled":true,"results":{"first":{}}}`,
		"largeBlob": `{"written":true,"blob":{"0":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := `{"` + name + `":` + wrong + `}`
			var r ExtensionResults
			require.NoError(t, json.Unmarshal([]byte(in), &r))
			require.Equal(t, ExtensionResults{Other: map[string]json.RawMessage{name: json.RawMessage(wrong)}}, r)
			b, err := json.Marshal(r)
			require.NoError(t, err)
			require.Equal(t, in, string(b))
		})
	}
}

func TestExtensionResultsRefuse(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"a list": `[]`, "null": `null`, "a repeated member": `{"prf":{},"prf":{}}`, "truncated": `{"prf":`,
		"a big document": `{"x":"` + strings.Repeat("a", 1<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := fullExtensionResults()
			require.ErrorContains(t, r.UnmarshalJSON([]byte(in)), "webauthn: extension results: ")
			require.Equal(t, fullExtensionResults(), r)
		})
	}
	_, err := json.Marshal(ExtensionResults{Other: map[string]json.RawMessage{"x": json.RawMessage("{")}})
	require.Error(t, err)
}

func TestOtherResultsDoNotReplaceKnownOnes(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(ExtensionResults{AppID: new(false), Other: map[string]json.RawMessage{"appid": json.RawMessage("true")}})
	require.NoError(t, err)
	require.Equal(t, `{"appid":false}`, string(b))
}

func FuzzExtensionResults(f *testing.F) {
	f.Add([]byte(fullResults))
	f.Add([]byte(`{"prf":{"results":{"first":{}}},"credProps":{},"appid":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r ExtensionResults
		if r.UnmarshalJSON(b) != nil {
			require.Equal(t, ExtensionResults{}, r)
			return
		}
		out, err := json.Marshal(r)
		require.NoError(t, err)
		var again ExtensionResults
		require.NoError(t, json.Unmarshal(out, &again))
		requireSameJSON(t, again, out)
	})
}
