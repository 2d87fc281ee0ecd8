// Command kubelet answers what an API server passes on to the kubelet of a node:
// port-forwards, by the server library of the kubelet, and logs. It runs no containers.
//
// A pod is a folder NAMESPACE/NAME of --pods. Its file address has the IP address at which
// its processes listen, and CONTAINER.log is the log of a container.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

const (
	idle     = 4 * time.Minute
	creation = 30 * time.Second
)

func main() {
	pods := flag.String("pods", "", "folder of the pods")
	listen := flag.String("bind-address", "127.0.0.1:0", "address and port")
	flag.Parse()
	certificate, err := certificate()
	if err != nil {
		log.Fatal(err)
	}
	node := node{pods: *pods}
	mux := http.NewServeMux()
	mux.HandleFunc("/portForward/{namespace}/{pod}", node.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", node.log)
	server := http.Server{
		Addr:    *listen,
		Handler: mux,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			// An upgrade needs HTTP/1.1, as the kubelet's server.
			NextProtos: []string{"http/1.1"},
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// The API server does not check the certificates of kubelets, unless it has their authority.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"kubelet"},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

type node struct{ pods string }

func (n node) folder(request *http.Request) string {
	return filepath.Join(n.pods, request.PathValue("namespace"), request.PathValue("pod"))
}

func (n node) portForward(response http.ResponseWriter, request *http.Request) {
	address, err := os.ReadFile(filepath.Join(n.folder(request), "address"))
	if err != nil {
		http.Error(response, "pod does not exist", http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(request)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	pod := pod{address: strings.TrimSpace(string(address))}
	name := request.PathValue("pod")
	protocols := portforward.SupportedProtocols
	portforward.ServePortForward(response, request, pod, name, "", options, idle, creation, protocols)
}

func (n node) log(response http.ResponseWriter, request *http.Request) {
	path := filepath.Join(n.folder(request), request.PathValue("container")+".log")
	text, err := os.ReadFile(path)
	if err != nil {
		http.Error(response, "container does not exist", http.StatusNotFound)
		return
	}
	lines := strings.SplitAfter(string(text), "\n")
	tail, err := strconv.Atoi(request.URL.Query().Get("tailLines"))
	// What ends with a line feed has an empty last part.
	if err == nil && tail+1 < len(lines) {
		lines = lines[len(lines)-tail-1:]
	}
	io.WriteString(response, strings.Join(lines, ""))
}

type pod struct{ address string }

// PortForward connects a stream to a port of the pod, as a container runtime does.
func (p pod) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	target := net.JoinHostPort(p.address, strconv.Itoa(int(port)))
	connection, err := net.Dial("tcp", target)
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside the pod: %w", port, err)
	}
	defer connection.Close()
	go func() {
		io.Copy(connection, stream)
		// What the client has sent is complete; the answer goes on.
		connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}
