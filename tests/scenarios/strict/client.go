// Reads lists and watches with Go's net/http over HTTP/1.1, and says what it saw.
//
// go run client.go URL [CA]
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const list = "/api/v1/namespaces/demo/services"

func main() {
	pool := x509.NewCertPool()
	if 2 < len(os.Args) {
		pem, err := os.ReadFile(os.Args[2])
		must(err)
		pool.AppendCertsFromPEM(pem)
	}
	// With compression Go asks for gzip by itself, and decodes it.
	for _, encoding := range []string{"identity", "gzip"} {
		client := &http.Client{Transport: &http.Transport{
			DisableCompression: encoding == "identity",
			TLSClientConfig:    &tls.Config{RootCAs: pool},
			TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{},
		}}
		var all struct{ Items []json.RawMessage }
		response := get(client, list)
		must(json.NewDecoder(response.Body).Decode(&all))
		_, err := io.Copy(io.Discard, response.Body)
		must(err)
		fmt.Println("list", encoding, len(all.Items))
		watch(client, encoding)
		response = get(client, list+"/missing")
		_, err = io.Copy(io.Discard, response.Body)
		must(err)
		fmt.Println("missing", encoding, response.StatusCode)
	}
}

func watch(client *http.Client, encoding string) {
	response := get(client, list+"?watch=1&timeoutSeconds=3&resourceVersion=0")
	lines := bufio.NewReader(response.Body)
	added, first, last := 0, time.Time{}, time.Time{}
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		must(err)
		var event struct{ Type string }
		must(json.Unmarshal(line, &event))
		if event.Type == "ADDED" {
			added++
		}
		if last = time.Now(); first.IsZero() {
			first = last
		}
	}
	live := "at once"
	if time.Second < last.Sub(first) {
		live = "live"
	}
	fmt.Println("watch", encoding, added, live)
}

func get(client *http.Client, path string) *http.Response {
	response, err := client.Get(os.Args[1] + path)
	must(err)
	return response
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
