package fido2tools

import "strings"

// usage returns the synopsis of a tool. Scripts look at its first word at most; people want to know the flags.
func usage(name string, old bool) string {
	lines := synopses[name]
	if old {
		lines = oldSynopses[name]
	}
	return "usage: " + strings.Join(lines, "\n       ") + "\n"
}

var synopses = map[string][]string{
	"fido2-cred": {
		"fido2-cred -M [-bdhqruvw] [-a mode] [-c cred_protect] [-i input_file] [-o output_file] [-t toggle] device [type]",
		"fido2-cred -V [-dhv] [-c cred_protect] [-i input_file] [-o output_file] [type]",
	},
	"fido2-assert": {
		"fido2-assert -G [-bdhpruvw] [-t option] [-i input_file] [-o output_file] [--credential-id] device",
		"fido2-assert -V [-dhpv] [-i input_file] key_file [type]",
	},
	"fido2-token": tokenSynopses(
		"fido2-token -Gt ppuat_path device",
		"fido2-token -I [-cd] [-k rp_id -i cred_id] [-t ppuat_path] device",
	),
}

var oldSynopses = map[string][]string{
	"fido2-cred": {
		"fido2-cred -M [-bdhqruv] [-c cred_protect] [-i input_file] [-o output_file] device [type]",
		synopses["fido2-cred"][1],
	},
	"fido2-assert": {
		"fido2-assert -G [-bdhpruv] [-t option] [-i input_file] [-o output_file] device",
		synopses["fido2-assert"][1],
	},
	"fido2-token": tokenSynopses("", "fido2-token -I [-cd] [-k rp_id -i cred_id]  device"),
}

// tokenSynopses are those of fido2-token, with the two that its versions disagree about.
func tokenSynopses(getToken, info string) []string {
	lines := []string{
		"fido2-token -C [-d] device",
		"fido2-token -Db [-k key_path] [-i cred_id -n rp_id] device",
		"fido2-token -Dei template_id device",
		"fido2-token -Du device",
	}
	if getToken != "" {
		lines = append(lines, getToken)
	}
	return append(lines,
		"fido2-token -Gb [-k key_path] [-i cred_id -n rp_id] blob_path device",
		info,
		"fido2-token -L [-bder] [-k rp_id] [device]",
		"fido2-token -R [-d] device",
		"fido2-token -S [-adefu] [-l pin_length] [-i template_id -n template_name] device",
		"fido2-token -Sb [-k key_path] [-i cred_id -n rp_id] blob_path device",
		"fido2-token -Sc -i cred_id -k user_id -n name -p display_name device",
		"fido2-token -Sm rp_id device",
		"fido2-token -V",
	)
}
