package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// maxRequests bounds what is remembered of requests, which are for people to read.
const maxRequests = 200

// told is what a server told one informer.
type told struct {
	// Lists that were begun, and watches that were to begin with a list.
	Lists   int `json:"lists"`
	Streams int `json:"streams"`
	// Watches that were begun, of either kind.
	Watches int `json:"watches"`
	// What was told, in its order: LISTED, when a whole state was known, and changes.
	Events []event `json:"events"`
	// What no server may tell.
	Wrongs []string `json:"wrongs"`
	// The last requests, with what became of them.
	Requests []string `json:"requests"`
}

type event struct {
	Type     string `json:"type"`
	Key      string `json:"key,omitempty"`
	Revision uint64 `json:"revision"`
}

// journal sees everything on its way to an informer.
type journal struct {
	mutex sync.Mutex
	so    told
}

func (j *journal) told() told {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	so := j.so
	so.Events = append([]event{}, so.Events...)
	so.Wrongs = append([]string{}, so.Wrongs...)
	so.Requests = append([]string{}, so.Requests...)
	return so
}

func (j *journal) note(change func(*told)) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	change(&j.so)
}

func (j *journal) wrong(format string, arguments ...any) {
	j.note(func(so *told) { so.Wrongs = append(so.Wrongs, fmt.Sprintf(format, arguments...)) })
}

func (j *journal) tell(news event) {
	j.note(func(so *told) { so.Events = append(so.Events, news) })
}

// listWatch is the source, observed.
func (j *journal) listWatch(source *source, selector string) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = selector
			j.note(func(so *told) { so.Lists++ })
			list, err := source.list(ctx, options)
			if err != nil {
				return nil, err
			}
			head, err := meta.ListAccessor(list)
			if err != nil {
				return nil, err
			}
			j.tell(event{Type: "LISTED", Revision: j.revision(head.GetResourceVersion())})
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = selector
			stream := j.begin(options)
			events, err := source.watch(ctx, options)
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, stream.see), nil
		},
	}
}

// stream is one watch. What it tells must be newer than what it began with.
type stream struct {
	journal *journal
	// Whether it still tells the state with which it begins.
	isInitial bool
	last      uint64
}

func (j *journal) begin(options metav1.ListOptions) *stream {
	isInitial := options.SendInitialEvents != nil && *options.SendInitialEvents
	j.note(func(so *told) {
		so.Watches++
		if isInitial {
			so.Streams++
		}
	})
	since, _ := strconv.ParseUint(options.ResourceVersion, 10, 64)
	return &stream{j, isInitial, since}
}

func (s *stream) see(told watch.Event) (watch.Event, bool) {
	if told.Type == watch.Error {
		s.journal.wrong("an error event: %v", told.Object)
		return told, true
	}
	object, err := meta.Accessor(told.Object)
	if err != nil {
		s.journal.wrong("%v: %v", told, err)
		return told, true
	}
	revision := s.journal.revision(object.GetResourceVersion())
	news := event{string(told.Type), object.GetName(), revision}
	if object.GetNamespace() != "" {
		news.Key = object.GetNamespace() + "/" + object.GetName()
	}
	switch {
	case told.Type == watch.Bookmark:
		if revision < s.last {
			s.journal.wrong("a bookmark at %d after %d", revision, s.last)
		}
		s.last = revision
		if s.isInitial && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
			s.isInitial = false
			s.journal.tell(event{Type: "LISTED", Revision: revision})
		}
	case s.isInitial:
		if told.Type != watch.Added {
			s.journal.wrong("%v before the list was whole", news)
		}
	default:
		if revision <= s.last {
			s.journal.wrong("%v after %d", news, s.last)
		}
		s.last = revision
		s.journal.tell(news)
	}
	return told, true
}

// revision reads what only servers and this program may: controllers must not.
func (j *journal) revision(text string) uint64 {
	revision, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		j.wrong("a revision that is no number: %q", text)
	}
	return revision
}

// transport notes requests, and what became of them.
func (j *journal) transport(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		outcome := fmt.Sprint(err)
		if err == nil {
			outcome = response.Status + " " + response.Proto
		}
		j.note(func(so *told) {
			so.Requests = append(so.Requests, request.URL.RequestURI()+": "+outcome)
			if maxRequests < len(so.Requests) {
				so.Requests = so.Requests[1:]
			}
		})
		return response, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// OnAdd is one half of what an informer tells its handlers; see OnUpdate.
func (j *journal) OnAdd(any, bool) {}

// OnUpdate must never be told to go back.
func (j *journal) OnUpdate(before, after any) {
	one, other := before.(metav1.Object), after.(metav1.Object)
	if j.revision(other.GetResourceVersion()) < j.revision(one.GetResourceVersion()) {
		j.wrong("handlers were told %s/%s went from %s back to %s", other.GetNamespace(),
			other.GetName(), one.GetResourceVersion(), other.GetResourceVersion())
	}
}

// OnDelete is nothing that could be wrong by itself.
func (j *journal) OnDelete(any) {}
