package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// modes are the ways in which controllers read: typed objects in both encodings, only
// metadata, which client-go asks for in protobuf, and objects of any type in JSON.
var modes = []string{"json", "protobuf", "metadata", "dynamic"}

// source is where an informer lists and watches.
type source struct {
	client  any
	example runtime.Object
	list    func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch   func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// kind is what sets one resource apart from another.
type kind struct {
	version schema.GroupVersion
	object  runtime.Object
	list    func() runtime.Object
}

var kinds = map[string]kind{
	"services": {corev1.SchemeGroupVersion, &corev1.Service{},
		func() runtime.Object { return &corev1.ServiceList{} }},
	"endpoints": {corev1.SchemeGroupVersion, &corev1.Endpoints{},
		func() runtime.Object { return &corev1.EndpointsList{} }},
	"namespaces": {corev1.SchemeGroupVersion, &corev1.Namespace{},
		func() runtime.Object { return &corev1.NamespaceList{} }},
	"endpointslices": {discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{},
		func() runtime.Object { return &discoveryv1.EndpointSliceList{} }},
}

func newSource(config rest.Config, mode, resource string) (*source, error) {
	kind, found := kinds[resource]
	if !found {
		return nil, fmt.Errorf("there is no resource %q", resource)
	}
	switch mode {
	case "json":
		return typed(config, kind, resource, "application/json")
	case "protobuf":
		return typed(config, kind, resource, "application/vnd.kubernetes.protobuf")
	case "metadata":
		return partial(config, kind, resource)
	case "dynamic":
		return untyped(config, kind, resource)
	default:
		return nil, fmt.Errorf("there is no mode %q", mode)
	}
}

func typed(config rest.Config, kind kind, resource, encoding string) (*source, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config.GroupVersion = &kind.version
	config.APIPath = "/apis"
	if kind.version.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.AcceptContentTypes = encoding
	config.ContentType = encoding
	client, err := rest.RESTClientFor(&config)
	if err != nil {
		return nil, err
	}
	request := func(options metav1.ListOptions) *rest.Request {
		return client.Get().Resource(resource).VersionedParams(&options, metav1.ParameterCodec)
	}
	return &source{
		client:  client,
		example: kind.object,
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := kind.list()
			return list, request(options).Do(ctx).Into(list)
		},
		watch: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			return request(options).Watch(ctx)
		},
	}, nil
}

func partial(config rest.Config, kind kind, resource string) (*source, error) {
	all, err := metadata.NewForConfig(&config)
	if err != nil {
		return nil, err
	}
	one := all.Resource(kind.version.WithResource(resource))
	return &source{
		client:  all,
		example: &metav1.PartialObjectMetadata{},
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return one.List(ctx, options)
		},
		watch: one.Watch,
	}, nil
}

func untyped(config rest.Config, kind kind, resource string) (*source, error) {
	all, err := dynamic.NewForConfig(&config)
	if err != nil {
		return nil, err
	}
	one := all.Resource(kind.version.WithResource(resource))
	return &source{
		client:  all,
		example: &unstructured.Unstructured{},
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return one.List(ctx, options)
		},
		watch: one.Watch,
	}, nil
}
