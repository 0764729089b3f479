package main

func survey() site {
	return site{allow: `open a terminal with "Run as administrator", and use keyfob in it`}
}
