package server

import "github.com/labstack/echo/v4"

// Handle adds a route of a test's own, for what no handler of the API does.
func (s *Server) Handle(path string, h echo.HandlerFunc) { s.router.Echo.GET(path, h) }
