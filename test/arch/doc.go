// Package arch holds who may know whom: the layout of the project as a table that a test reads.
package arch
