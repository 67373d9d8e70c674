# Builds the standalone binary, and puts it alone into an image without shell, package manager or root.

FROM denoland/deno:2.9.6 AS build
WORKDIR /build
COPY deno.json deno.lock ./
COPY src src
RUN deno task compile

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/tidings /tidings
# "nonroot", as a number: whoever forbids root can see that it is none.
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/tidings", "--health"]
# In the exec form the server is process 1 itself, and SIGTERM reaches it.
ENTRYPOINT ["/tidings"]
