use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::BufReader;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    config::{Config, Host, SslMode, invalid},
    error::{Error, ErrorKind},
    socket::Socket,
};

const BUFFER: usize = 64 * 1024;

/// TLS as the configuration wants it, made before anything is sent.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(config: &Config, host: &Host) -> Result<Self, Error> {
        let name = ServerName::try_from(host.name.clone())
            .map_err(|error| invalid("the host is no valid name").with_source(error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier {
            chain: config
                .ssl_root_cert()
                .map(|path| Chain::load(path, Arc::clone(&provider)))
                .transpose()?,
            name: config.ssl_mode() == SslMode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let identity = config.ssl_client_cert();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("no usable version of tls").with_source(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let (certs, key) = (certificates("sslcert", cert)?, private_key(key)?);
                builder.with_client_auth_cert(certs, key).map_err(|error| {
                    invalid("sslcert and sslkey do not go together").with_source(error)
                })?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn handshake(
        &self,
        socket: Socket,
    ) -> Result<TlsStream<BufReader<Socket>>, Error> {
        let socket = BufReader::with_capacity(BUFFER, socket);
        self.connector.connect(self.name.clone(), socket).await.map_err(|error| {
            Error::new(ErrorKind::Tls, "the handshake with the server failed").with_source(error)
        })
    }
}

/// The hash of the server's certificate for channel binding, `tls-server-end-point` of RFC 5929:
/// by the hash of the certificate's own signature, SHA-256 in place of MD5 and SHA-1. None for
/// signatures whose hash is not in their name.
pub(super) fn end_point(stream: &TlsStream<BufReader<Socket>>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let rsa = |last: u8| [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, last];
    let ecdsa = |last: u8| [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, last];
    let algorithm = signature_algorithm(certificate)?;
    let is = |numbers: &[u8]| algorithm == numbers;
    if is(&rsa(4)) || is(&rsa(5)) || is(&rsa(11)) || is(&ecdsa(2)) {
        Some(Sha256::digest(certificate).to_vec())
    } else if is(&rsa(12)) || is(&ecdsa(3)) {
        Some(Sha384::digest(certificate).to_vec())
    } else if is(&rsa(13)) || is(&ecdsa(4)) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

/// The object identifier in the second element of a certificate (RFC 5280, section 4.1).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (content, _) = element(certificate, 0x30)?;
    let (_, after) = element(content, 0x30)?;
    let (algorithm, _) = element(after, 0x30)?;
    element(algorithm, 0x06).map(|(oid, _)| oid)
}

/// The content of the DER element at the front, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let ([found, first], rest) = der.split_first_chunk::<2>()?;
    if *found != tag {
        return None;
    }
    let (length, rest) = match first.checked_sub(0x80) {
        None => (usize::from(*first), rest),
        Some(digits) if digits <= 4 => {
            let (digits, rest) = rest.split_at_checked(usize::from(digits))?;
            let fold = |length: usize, digit: &u8| length << 8 | usize::from(*digit);
            (digits.iter().fold(0, fold), rest)
        }
        Some(_) => return None,
    };
    rest.split_at_checked(length)
}

/// Checks what the mode asks for: the chain when there is a root certificate, and the name.
#[derive(Debug)]
struct Verifier {
    chain: Option<Chain>,
    name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Chain {
    roots: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// All certificates of a file, at least one.
fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            invalid(format!("cannot read {what} {}", path.display())).with_source(error)
        })?;
    if found.is_empty() {
        return Err(invalid(format!("no certificate in {what} {}", path.display())));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    // As libpq: a key that others may read is not used; root may own it for a group.
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path) {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let others = if metadata.uid() == 0 { 0o027 } else { 0o077 };
        if metadata.permissions().mode() & others != 0 {
            return Err(invalid(format!("sslkey {} can be read by others", path.display())));
        }
    }
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        invalid(format!("cannot read sslkey {}", path.display())).with_source(error)
    })
}

impl Chain {
    fn load(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let roots = certificates("sslrootcert", path)?;
        let unreadable = || invalid(format!("cannot use sslrootcert {}", path.display()));
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| unreadable().with_source(error))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| unreadable().with_source(error))?;
        Ok(Self { roots, verifier })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let checked = chain.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match checked {
            // The name is checked after the chain, so the chain is good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => {}
            // A self-signed certificate is its own authority, which the verifier does not allow for
            // a server. libpq does, and it is the usual way to run one server: trust exactly it.
            // Its validity was checked before this was found.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if chain.roots.iter().any(|root| root == end_entity) => {
                if self.name {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
            }
            other => return other,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_signature_algorithm() {
        // A certificate in outline: 200 bytes to be signed, an algorithm, a signature.
        let mut der = vec![0x30, 0x81, 203 + 7, 0x30, 0x81, 200];
        der.extend([0; 200]);
        der.extend([0x30, 5, 0x06, 3, 1, 2, 3]);
        assert_eq!(signature_algorithm(&der), Some(&[1, 2, 3][..]));
        for length in 0..der.len() {
            assert_eq!(signature_algorithm(&der[..length]), None);
        }
    }
}
