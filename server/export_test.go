package server

import "github.com/labstack/echo/v4"

// Handle adds a route for tests that need a handler which the API does not have.
func (s *Server) Handle(path string, h echo.HandlerFunc) { s.router.Echo.GET(path, h) }
