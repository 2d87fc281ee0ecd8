// Command informers follows a Kubernetes API server as controllers do, in every way that
// client-go offers, and tells what it was told.
//
// It serves /readyz, which is good once every informer has synced, and /report.
// Whether lists are streamed is client-go's own choice:
// KUBE_FEATURE_WatchListClient=true or false.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

func main() {
	server := flag.String("server", "", "URL of the API server")
	authority := flag.String("certificate-authority", "", "file with the authority of its certificate")
	token := flag.String("token", "", "bearer token")
	selector := flag.String("selector", "", "label selector of what is followed")
	resources := flag.String("resources", "services,endpointslices,endpoints", "what is followed")
	listen := flag.String("admin-bind-address", "127.0.0.1:0", "address for /readyz and /report")
	flag.Parse()

	config := rest.Config{
		Host:            *server,
		BearerToken:     *token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: *authority},
		QPS:             -1,
		WarningHandler:  rest.NoWarnings{},
	}
	var followers []*follower
	for _, resource := range strings.Split(*resources, ",") {
		for _, mode := range modes {
			follower, err := follow(config, mode, resource, *selector)
			if err != nil {
				log.Fatalf("%s in %s: %v", resource, mode, err)
			}
			followers = append(followers, follower)
		}
	}
	log.Fatal(http.ListenAndServe(*listen, answers(followers)))
}

func answers(followers []*follower) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(response http.ResponseWriter, _ *http.Request) {
		for _, follower := range followers {
			if !follower.informer.HasSynced() {
				why := fmt.Sprintf("%s in %s has not synced", follower.resource, follower.mode)
				http.Error(response, why, http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(response, "readyz check passed")
	})
	mux.HandleFunc("/report", func(response http.ResponseWriter, _ *http.Request) {
		reports := make([]report, 0, len(followers))
		for _, follower := range followers {
			reports = append(reports, follower.report())
		}
		if err := json.NewEncoder(response).Encode(reports); err != nil {
			log.Printf("cannot report: %v", err)
		}
	})
	return mux
}

// follower is one informer and what it was told.
type follower struct {
	mode     string
	resource string
	informer cache.SharedIndexInformer
	journal  *journal
}

// report is what a follower knows.
type report struct {
	Mode     string         `json:"mode"`
	Resource string         `json:"resource"`
	Objects  map[string]any `json:"objects"`
	told
}

func follow(config rest.Config, mode, resource, selector string) (*follower, error) {
	journal := &journal{}
	config.Wrap(journal.transport)
	source, err := newSource(config, mode, resource)
	if err != nil {
		return nil, err
	}
	if resource == "namespaces" {
		// Those of an emitter have names only.
		selector = ""
	}
	listWatch := journal.listWatch(source, selector)
	informer := cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(listWatch, source.client), source.example, 0, cache.Indexers{})
	if _, err := informer.AddEventHandler(journal); err != nil {
		return nil, err
	}
	go informer.RunWithContext(context.Background())
	return &follower{mode, resource, informer, journal}, nil
}

func (f *follower) report() report {
	objects := map[string]any{}
	for _, object := range f.informer.GetStore().List() {
		key, _ := cache.MetaNamespaceKeyFunc(object)
		objects[key] = withoutType(object)
	}
	return report{f.mode, f.resource, objects, f.journal.told()}
}

// withoutType is an object as it stands in a list, where it does not say what it is.
func withoutType(object any) any {
	text, err := json.Marshal(object)
	if err != nil {
		log.Fatalf("cannot write an object: %v", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		log.Fatalf("cannot read what was just written: %v", err)
	}
	delete(fields, "kind")
	delete(fields, "apiVersion")
	return fields
}
