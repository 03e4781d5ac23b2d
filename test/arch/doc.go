// Package arch tests the layout of the project: which package may import which, and that the architecture page lists
// all.
package arch
