package guest

import (
	"fmt"
	"strings"
)

// diffCases returns the command lines of the differential suite.
func diffCases() []diffCase {
	var all []diffCase
	for _, part := range [][]diffCase{
		usageCases(), credMakeCases(), credVerifyCases(), assertGetCases(), assertVerifyCases(), tokenCases(), pinCases(),
		managementCases(), settingCases(), fingerCases(), blobCases(),
	} {
		all = append(all, part...)
	}
	return all
}

const debugOutput = "libfido2 says with -d what it does inside, which nothing else does"

// lines makes cases of command lines that need nothing else.
func lines(state, text string) (all []diffCase) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, diffCase{state: state, line: line})
		}
	}
	return all
}

// with makes cases of command lines with the same standard input.
func with(state, stdin, text string) []diffCase {
	all := lines(state, text)
	for i := range all {
		all[i].stdin = stdin
	}
	return all
}

// usageCases are wrong as they stand, before any key is opened: every option of every mode on its own, without its
// argument, and every action of fido2-token with every other.
func usageCases() []diffCase {
	all := lines("", `
		fido2-cred
		fido2-cred -Mr
		fido2-cred -X
		fido2-cred M
		fido2-cred --help
		fido2-cred -h -M
		fido2-cred -M a b c
		fido2-cred -M --help
		fido2-cred -M -c
		fido2-cred -M -a 1 x
		fido2-cred -M -w x
		fido2-cred -M -t up=true x
		fido2-cred -M -c x y
		fido2-cred -M -c -1 y
		fido2-cred -M -c 99999999999 y
		fido2-cred -M -c 2147483648 y
		fido2-cred -M -c 1x y
		fido2-cred -M -i nofile y
		fido2-cred -M -i cred.in y foo
		fido2-cred -M -i cred.in y ES256
		fido2-cred -M -i cred.in -o nofolder/out y
		fido2-cred -M -i cred.in -o new.out nodevice
		fido2-cred -M nodevice -i cred.in
		fido2-cred -M -- -i cred.in
		fido2-cred -M -i short.in x
		fido2-cred -M -i empty.in x
		fido2-cred -M -i nul.in x
		fido2-cred -M -i nob64.in x
		fido2-cred -M -i noid.in x
		fido2-cred -V a b
		fido2-cred -V -q
		fido2-cred -V -c
		fido2-cred -V -c x
		fido2-cred -V -i nofile
		fido2-cred -V foo
		fido2-assert
		fido2-assert -Gr
		fido2-assert -X
		fido2-assert --help
		fido2-assert -G
		fido2-assert -G -w x
		fido2-assert -G -t
		fido2-assert -G -t up x
		fido2-assert -G -t up= x
		fido2-assert -G -t up=yes x
		fido2-assert -G -t foo=true x
		fido2-assert -G -t =true x
		fido2-assert -G -i nofile x
		fido2-assert -G -i empty.in x
		fido2-assert -G -i rk.in x
		fido2-assert -G -i nob64.in x
		fido2-assert -G -h -i assert.in x
		fido2-assert -G -h -i salt33.in x
		fido2-assert -G -i assert.in nodevice
		fido2-assert -G -i assert.in -o nofolder/out x
		fido2-assert -V
		fido2-assert -V a b c
		fido2-assert -V -o out key.pem
		fido2-assert -V nofile
		fido2-assert -V nofile rs256
		fido2-assert -V nofile eddsa
		fido2-assert -V nofile es384
		fido2-assert -V key.pem foo
		fido2-assert -V junk.pem
		fido2-assert -V junk.pem rs256
		fido2-assert -V junk.pem eddsa
		fido2-assert -V key.pem rs256
		fido2-assert -V key.pem eddsa
		fido2-assert -V key.pem es384
		fido2-assert -V ed.pem
		fido2-assert -V ed.pem rs256
		fido2-assert -V key.pem
		fido2-assert -V -i nofile key.pem
		fido2-token
		fido2-token --help
		fido2-token x
		fido2-token -V
		fido2-token -V x
		fido2-token -I nodevice
		fido2-token -L -b
		fido2-token -L -e
		fido2-token -L -r
		fido2-token -L -k example.org
		fido2-token -L -b nodevice
		fido2-token -I -c -k x y
		fido2-token -I -c -i x y
		fido2-token -D x
		fido2-token -D -i x -u y
		fido2-token -G x
		fido2-token -G -b x
		fido2-token -G -b a b c
		fido2-token -S -b x
		fido2-token -S -b a b c
		fido2-token -S -c x
		fido2-token -S -c -i AAAA x
		fido2-token -S -c -i AAAA -k AAAA x
		fido2-token -S -e -i AAAA x
		fido2-token -S -e -n name x
		fido2-token -S -e -a x
		fido2-token -S -e -u x
		fido2-token -S -a -u x
		fido2-token -S -m , x
		fido2-token -S -m a,,b x
		fido2-token -S -e -i !!!! -n name x
		fido2-token -D -e -i !!!! x
		fido2-token -S -e -i AAAA -n name nodevice
		fido2-token -L -- -x
		fido2-token -G -t file x
	`)
	for letter := range strings.SplitSeq("aciot", "") {
		all = append(all, diffCase{line: "fido2-cred -M -" + letter}, diffCase{line: "fido2-assert -G -" + letter})
	}
	actions := "CDGILPRS"
	for i, a := range actions {
		all = append(all, diffCase{line: fmt.Sprintf("fido2-token -%c", a)})
		if b := actions[(i+3)%len(actions)]; a != 'L' {
			all = append(all, diffCase{line: fmt.Sprintf("fido2-token -%c%c x", a, b)})
		}
	}
	for letter := range strings.SplitSeq("abcdefiklmnprtu", "") {
		all = append(all, diffCase{line: "fido2-token -" + letter})
	}
	return all
}

func credMakeCases() []diffCase {
	all := lines("fresh", `
		fido2-cred -M -i cred.in $dev es384
		fido2-cred -M $dev -i cred.in rs256
		fido2-cred -M -r -i cred.in $dev
		fido2-cred -M -v -i cred.in $dev
		fido2-cred -M -b -i cred.in $dev
		fido2-cred -M -q -i cred.in $dev
		fido2-cred -M -rhq -i cred.in $dev
		fido2-cred -M -u -i cred.in $dev
		fido2-cred -M -u -r -i cred.in $dev
		fido2-cred -M -u -h -i cred.in $dev
		fido2-cred -M -u -v -i cred.in $dev
		fido2-cred -M -u -i cred.in $dev eddsa
		fido2-cred -M -u -i hash5.in $dev
		fido2-cred -M -c 0 -i cred.in $dev
		fido2-cred -M -c 1 -i cred.in $dev
		fido2-cred -M -c 3 -i cred.in $dev
		fido2-cred -M -c 4 -i cred.in $dev
		fido2-cred -M -i crlf.in $dev
		fido2-cred -M -i unended.in $dev
		fido2-cred -M -i more.in $dev
		fido2-cred -M -i norp.in $dev
		fido2-cred -M -i noname.in $dev
		fido2-cred -M -i hash5.in $dev
		fido2-cred -M -i longid.in $dev
		fido2-cred -M -i utf8.in $dev
		fido2-cred -M -i cred.in -o new.out $dev
		fido2-cred -M -i - -o - $dev
	`)
	all = append(all,
		diffCase{state: "fresh", line: "fido2-cred -M -i cred.in $dev", verify: "fido2-cred -V"},
		diffCase{state: "fresh", line: "fido2-cred -M -i cred.in $dev eddsa", verify: "fido2-cred -V eddsa"},
		diffCase{state: "fresh", line: "fido2-cred -M -h -i cred.in $dev", verify: "fido2-cred -V -h"},
		diffCase{state: "fresh", line: "fido2-cred -M -c 2 -i cred.in $dev", verify: "fido2-cred -V -c 2"},
		diffCase{state: "u2f", line: "fido2-cred -M -i cred.in $dev", verify: "fido2-cred -V"},
		diffCase{state: "full", line: "fido2-cred -M -v -i cred.in $dev", stdin: pin + "\n", verify: "fido2-cred -V -v"},
		diffCase{state: "fresh", line: "fido2-cred -M $dev",
			stdin: base64Of(make([]byte, 32)) + "\n" + rpID + "\nEve\nAAAA\n", verify: "fido2-cred -V"},
		diffCase{state: "full", line: "fido2-cred -M -r $dev", // the PIN is swallowed with the parameters
			stdin: base64Of(make([]byte, 32)) + "\n" + rpID + "\nEve\nAAAA\n" + pin + "\n"},
		diffCase{state: "fresh", line: "fido2-cred -M -i cred.in -o full.out $dev",
			differ: "files", reason: "the old content of the output file goes before the new is written"},
		diffCase{state: "fresh", line: "fido2-cred -M -d -i cred.in $dev", differ: "stderr", reason: debugOutput},
	)
	for _, state := range []string{"u2f", "none", "old", "bio"} {
		all = append(all, with(state, pin+"\n", `
			fido2-cred -M -r -i cred.in $dev
			fido2-cred -M -h -i cred.in $dev
			fido2-cred -M -v -i cred.in $dev
			fido2-cred -M -q -r -i cred.in $dev
		`)...)
	}
	for _, typed := range []string{"", "\n", "123\n", "wrong\n", pin, pin + "\r", strings.Repeat("x", 64) + "\n"} {
		all = append(all, diffCase{state: "full", line: "fido2-cred -M -r -i cred.in $dev", stdin: typed})
	}
	return append(all, with("full", pin+"\n", `
		fido2-cred -M -i cred.in $dev
		fido2-cred -M -q -v -i cred.in $dev
		fido2-cred -M -r -b -h -c 3 -i cred.in $dev
		fido2-cred -M -b -i cred.in $dev
	`)...)
}

func credVerifyCases() []diffCase {
	all := lines("", `
		fido2-cred -V -i made
		fido2-cred -V -i made es256
		fido2-cred -V -i made eddsa
		fido2-cred -V -i made -o new.out
		fido2-cred -V -h -i made
		fido2-cred -V -v -i made
		fido2-cred -V -c 1 -i made
		fido2-cred -V -c 4 -i made
		fido2-cred -V -i made.h
		fido2-cred -V -h -i made.h
		fido2-cred -V -i made.c
		fido2-cred -V -c 2 -i made.c
		fido2-cred -V -c 3 -i made.c
		fido2-cred -V -i made.eddsa eddsa
		fido2-cred -V -i made.eddsa
		fido2-cred -V -i made.es384 es384
		fido2-cred -V -i made.rs256 rs256
		fido2-cred -V -i made.rs256 es384
		fido2-cred -V -i cred.in
	`)
	for _, part := range []string{"hash", "rp", "format", "data", "id", "sig"} {
		all = append(all, lines("", "fido2-cred -V -i made-bad-"+part+"\nfido2-cred -V -i made-until-"+part)...)
	}
	return append(all, diffCase{line: "fido2-cred -V -d -i made", differ: "stderr", reason: debugOutput})
}

func assertGetCases() []diffCase {
	all := []diffCase{
		{state: "full", line: "fido2-assert -G -i assert.in $dev", verify: "fido2-assert -V key.pem"},
		{state: "full", line: "fido2-assert -G -p -i assert.in $dev", verify: "fido2-assert -V -p key.pem"},
		{state: "full", line: "fido2-assert -G -h -i salt32.in $dev", verify: "fido2-assert -V -h key.pem"},
		{state: "full", line: "fido2-assert -G -h -i salt64.in $dev", verify: "fido2-assert -V -h key.pem"},
		{state: "full", line: "fido2-assert -G -v -i assert.in $dev", stdin: pin + "\n", verify: "fido2-assert -V -v key.pem"},
		{state: "full", line: "fido2-assert -G -d -i assert.in $dev", differ: "stderr", reason: debugOutput},
	}
	for _, typed := range []string{"", "123\n", "wrong\n", strings.Repeat("x", 64) + "\n"} {
		all = append(all, diffCase{state: "full", line: "fido2-assert -G -v -i assert.in $dev", stdin: typed})
	}
	all = append(all, with("full", pin+"\n", `
		fido2-assert -G -i ada.in $dev
		fido2-assert -G -i bob.in $dev
		fido2-assert -G -b -i ada.in $dev
		fido2-assert -G -b -i bob.in $dev
		fido2-assert -G -r -i rk.in $dev
		fido2-assert -G -r -v -i rk.in $dev
		fido2-assert -G -r -b -i rk.in $dev
		fido2-assert -G -r -h -i rksalt.in $dev
		fido2-assert -G -r -i rkother.in $dev
		fido2-assert -G -r -i nobody.in $dev
		fido2-assert -G -r -p -v -i rkother.in $dev
		fido2-assert -G -h -i adasalt.in $dev
		fido2-assert -G -h -i bobsalt.in $dev
		fido2-assert -G -h -v -i adasalt.in $dev
		fido2-assert -G -h -t up=false -i adasalt.in $dev
		fido2-assert -G -i wrongrp.in $dev
		fido2-assert -G -i junkid.in $dev
		fido2-assert -G -i longcred.in $dev
		fido2-assert -G -i ahash5.in $dev
		fido2-assert -G -t up=false -i assert.in $dev
		fido2-assert -G -t up=true -i assert.in $dev
		fido2-assert -G -t uv=true -i assert.in $dev
		fido2-assert -G -t uv=false -i assert.in $dev
		fido2-assert -G -t pin=true -i assert.in $dev
		fido2-assert -G -t pin=false -i assert.in $dev
		fido2-assert -G -v -t pin=false -i assert.in $dev
		fido2-assert -G -v -t uv=false -i assert.in $dev
		fido2-assert -G -u -i assert.in $dev
		fido2-assert -G -u -r -i rk.in $dev
		fido2-assert -G -u -h -i salt32.in $dev
		fido2-assert -G -u -v -i assert.in $dev
		fido2-assert -G -u -t up=false -i assert.in $dev
		fido2-assert -G -u -i junkid.in $dev
		fido2-assert -G -i assert.in -o new.out $dev
		fido2-assert -G -i assert.in $dev extra operands
		fido2-assert -G $dev -i assert.in
	`)...)
	for _, state := range []string{"u2f", "old", "always"} {
		all = append(all, with(state, pin+"\n", `
			fido2-assert -G -i assert.in $dev
			fido2-assert -G -r -i rk.in $dev
			fido2-assert -G -v -i assert.in $dev
		`)...)
	}
	return all
}

func assertVerifyCases() []diffCase {
	all := lines("", `
		fido2-assert -V -i signed key.pem
		fido2-assert -V -i signed key.pem es256
		fido2-assert -V -p -i signed key.pem
		fido2-assert -V -v -i signed key.pem
		fido2-assert -V -h -i signed key.pem
		fido2-assert -V -i signed.h key.pem
		fido2-assert -V -h -i signed.h key.pem
		fido2-assert -V -v -i signed.v key.pem
		fido2-assert -V -i signed ed.pem eddsa
		fido2-assert -V -i cred.in key.pem
	`)
	for _, part := range []string{"hash", "rp", "data", "sig"} {
		all = append(all, lines("",
			"fido2-assert -V -i signed-bad-"+part+" key.pem\nfido2-assert -V -i signed-until-"+part+" key.pem")...)
	}
	return append(all, diffCase{line: "fido2-assert -V -d -i signed key.pem", differ: "stderr", reason: debugOutput})
}

func tokenCases() []diffCase {
	all := []diffCase{
		{line: "fido2-token -L"},
		{state: "fresh", line: "fido2-token -d -I $dev", differ: "stderr", reason: debugOutput},
	}
	for _, state := range []string{"fresh", "none", "u2f", "pre", "full", "bio"} {
		all = append(all, lines(state, `
			fido2-token -I $dev
			fido2-token -R $dev
		`)...)
	}
	return all
}

func pinCases() (all []diffCase) {
	for _, typed := range []string{
		"", newPIN + "\n" + newPIN + "\n", newPIN + "\nother\n", "123\n123\n", "é12\né12\n",
		strings.Repeat("x", 63) + "\n" + strings.Repeat("x", 63) + "\n",
		strings.Repeat("x", 64) + "\n" + strings.Repeat("x", 64) + "\n",
	} {
		all = append(all, diffCase{state: "fresh", line: "fido2-token -S $dev", stdin: typed})
	}
	for _, typed := range []string{
		"", "123\n", pin + "\n" + newPIN + "\n" + newPIN + "\n", "wrong\n" + newPIN + "\n" + newPIN + "\n",
		pin + "\n123\n123\n", pin + "\n" + newPIN + "\nother\n",
	} {
		all = append(all, diffCase{state: "full", line: "fido2-token -C $dev", stdin: typed})
	}
	for _, state := range []string{"u2f", "old"} {
		all = append(all, with(state, newPIN+"\n"+newPIN+"\n"+newPIN+"\n", `
			fido2-token -S $dev
			fido2-token -C $dev
		`)...)
	}
	return all
}

func managementCases() []diffCase {
	const listing = `
		fido2-token -I -c $dev
		fido2-token -L -r $dev
		fido2-token -L -k example.org $dev
	`
	all := with("full", pin+"\n", listing+`
		fido2-token -L -k other.test $dev
		fido2-token -L -k nobody.test $dev
		fido2-token -Lr $dev
		fido2-token -L -r -k example.org $dev
		fido2-token -I -k example.org -i $ada $dev
		fido2-token -I -k other.test -i $ada $dev
		fido2-token -I -k example.org -i !!!! $dev
		fido2-token -I -k example.org $dev
		fido2-token -I -i $ada $dev
		fido2-token -D -i $ada $dev
		fido2-token -Di $carl $dev
		fido2-token -D -i AAAA $dev
		fido2-token -D -i !!!! $dev
		fido2-token -S -c -i !!!! -k $uid -n new $dev
		fido2-token -S -c -i $ada -k !!!! -n new $dev
	`)
	all = append(all, with("full", "wrong\n", listing+`
		fido2-token -D -i $ada $dev
	`)...)
	for _, state := range []string{"fresh", "u2f", "old", "bio"} {
		all = append(all, with(state, pin+"\n", listing)...)
	}
	all = append(all, with("full", pin+"\n", `
		fido2-token -S -c -i $ada -k $uid -n new $dev
		fido2-token -S -c -i $ada -k $uid -p New $dev
		fido2-token -S -c -i $ada -k $uid -n new -p New $dev
		fido2-token -S -c -i $bob -k $uid -n new $dev
	`)...)
	return all
}

func settingCases() []diffCase {
	const settings = `
		fido2-token -S -a $dev
		fido2-token -S -u $dev
		fido2-token -D -u $dev
		fido2-token -S -f $dev
		fido2-token -S -l 6 $dev
		fido2-token -S -m example.org,other.test $dev
	`
	all := with("full", pin+"\n", settings+`
		fido2-token -S -l 0 $dev
		fido2-token -S -l 3 $dev
		fido2-token -S -l 63 $dev
		fido2-token -S -l 64 $dev
		fido2-token -S -l x $dev
		fido2-token -S -l -1 $dev
		fido2-token -S -l 20 $dev
		fido2-token -S -f -u $dev
	`)
	all = append(all, with("full", "wrong\n", "fido2-token -S -u $dev\nfido2-token -S -l 6 $dev")...)
	all = append(all, with("fresh", "", settings)...)
	all = append(all, with("u2f", "", "fido2-token -S -u $dev\nfido2-token -D -u $dev\nfido2-token -S -f $dev")...)
	return append(all, with("always", pin+"\n", "fido2-token -S -u $dev\nfido2-token -D -u $dev")...)
}

func fingerCases() []diffCase {
	all := with("bio", pin+"\n", `
		fido2-token -L -e $dev
		fido2-token -S -e $dev
		fido2-token -S -e -i $finger -n thumb $dev
		fido2-token -S -e -i AAAA -n thumb $dev
		fido2-token -D -e -i $finger $dev
		fido2-token -Dei AAAA $dev
	`)
	all = append(all, with("bio", "wrong\n", "fido2-token -L -e $dev\nfido2-token -S -e $dev\nfido2-token -Dei $finger $dev")...)
	for _, state := range []string{"full", "u2f"} {
		all = append(all, with(state, pin+"\n", "fido2-token -L -e $dev\nfido2-token -S -e $dev")...)
	}
	return all
}

func blobCases() []diffCase {
	all := with("full", pin+"\n", `
		fido2-token -G -b -n example.org new.out $dev
		fido2-token -G -b -n example.org -i $ada new.out $dev
		fido2-token -G -b -n example.org -i $bob new.out $dev
		fido2-token -G -b -n example.org -i AAAA new.out $dev
		fido2-token -G -b -n example.org -i !!!! new.out $dev
		fido2-token -G -b -n nobody.test new.out $dev
		fido2-token -G -b -n other.test new.out $dev
		fido2-token -G -b -k ada.key new.out $dev
		fido2-token -G -b -k new.key new.out $dev
		fido2-token -G -b -k short.key new.out $dev
		fido2-token -G -b -k junk.key new.out $dev
		fido2-token -G -b -k nofile new.out $dev
		fido2-token -G -b -k ada.key -n example.org new.out $dev
		fido2-token -G -b new.out $dev
		fido2-token -G -b -k ada.key nofolder/out $dev
		fido2-token -S -b -n other.test blob $dev
		fido2-token -S -b -n example.org -i $ada blob $dev
		fido2-token -S -b -k new.key blob $dev
		fido2-token -S -b -k ada.key big $dev
		fido2-token -S -b -k ada.key nothing $dev
		fido2-token -S -b -k ada.key nofile $dev
		fido2-token -S -b -k short.key blob $dev
		fido2-token -D -b -n example.org -i $ada $dev
		fido2-token -D -b -n other.test $dev
		fido2-token -D -b -k ada.key $dev
		fido2-token -D -b -k new.key $dev
		fido2-token -D -b $dev
	`)
	for _, state := range []string{"fresh", "u2f"} {
		all = append(all, with(state, pin+"\n", `
			fido2-token -L -b $dev
			fido2-token -S -b -k new.key blob $dev
			fido2-token -G -b -k new.key new.out $dev
		`)...)
	}
	return append(all,
		diffCase{state: "full", line: "fido2-token -S -b -k new.key blob $dev", stdin: "wrong\n"},
		diffCase{state: "full", line: "fido2-token -S -b -k ada.key tiny $dev", stdin: pin + "\n", differ: "status stderr state",
			reason: "1.12 stores no small blobs: it fails with FIDO_ERR_INTERNAL before it asks the key"},
		diffCase{state: "full", line: "fido2-token -L -b $dev", stdin: "wrong\n"},
		diffCase{state: "full", line: "fido2-token -L -b $dev", stdin: pin + "\n", differ: "stdout",
			reason: "1.12 looks for the owner of a blob only if it is in zlib's form, which nobody writes any more"},
		diffCase{state: "full", line: "fido2-token -G -b -k ada.key full.out $dev", differ: "files",
			reason: "the old content of the output file goes before the new is written"},
	)
}
