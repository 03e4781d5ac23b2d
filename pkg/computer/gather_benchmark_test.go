package computer

import (
	"os"
	"testing"
)

// BenchmarkGatherFactsOfACreate gathers what a create on cloud docker waits for.
func BenchmarkGatherFactsOfACreate(b *testing.B) {
	for b.Loop() {
		GatherFacts(b.Context(), Options{Env: os.Getenv})
	}
}

// BenchmarkGatherFactsOfACheck gathers what skyctl check waits for: also how fast the disk is.
func BenchmarkGatherFactsOfACheck(b *testing.B) {
	for b.Loop() {
		GatherFacts(b.Context(), Options{Env: os.Getenv, StateDir: b.TempDir()})
	}
}
