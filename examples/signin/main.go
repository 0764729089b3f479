// Signin is a web site with three ways to sign in: with a password and a key as the second factor, with a key instead
// of the password, and with a key alone, which even knows the user's name.
package main

import (
	"flag"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "where to listen")
	origin := flag.String("origin", "http://localhost:8080", "how browsers call this site: scheme, host and port")
	data := flag.String("data", "signin.json", "file for the accounts")
	embedders := flag.String("embedders", "", "origins, with commas between, that may show this site in a frame")
	flag.Parse()
	site, err := newSite(config{
		Origin:    *origin,
		File:      *data,
		Embedders: strings.FieldsFunc(*embedders, func(r rune) bool { return r == ',' }),
		Log:       slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: site, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	log.Printf("open %s", *origin)
	log.Fatal(server.ListenAndServe())
}
