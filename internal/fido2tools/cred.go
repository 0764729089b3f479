package fido2tools

// cred is fido2-cred. Its mode stands alone in the first argument.
func (t *tool) cred(args []string) error {
	switch mode := firstOf(args); mode {
	case "-M":
		return t.credMake(args[1:])
	case "-V":
		return t.credVerify(args[1:])
	}
	return errUsage
}

// assert is fido2-assert.
func (t *tool) assert(args []string) error {
	switch mode := firstOf(args); mode {
	case "-G":
		return t.assertGet(args[1:])
	case "-V":
		return t.assertVerify(args[1:])
	}
	return errUsage
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
