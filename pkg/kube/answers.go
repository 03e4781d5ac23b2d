package kube

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Answers reports whether the API server answers a request. An error of the API server, such as that of credentials
// which it does not know, is an answer too.
func Answers(ctx context.Context, cs kubernetes.Interface) bool {
	_, err := cs.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	var status apierrors.APIStatus
	return err == nil || errors.As(err, &status)
}
