// The dashboard as Relay wants it: fragments with @connection and @refetchable. The compiler reads
// this file; nothing runs it, since what runs are the artefacts that the compiler makes of it.
import { graphql } from 'relay-runtime';

graphql`
  query dashboardQuery($count: Int!, $since: DateTime!) {
    viewer {
      project
      roles
    }
    failed: jobs(first: 0, where: { result: { eq: FAIL } }) {
      totalCount
    }
    recent: backups(first: 0, where: { timeStamp: { gte: $since } }) {
      totalCount
    }
    ...dashboard_jobs @arguments(count: $count)
  }
`;

graphql`
  fragment dashboard_jobs on Query
  @argumentDefinitions(count: { type: "Int!" }, cursor: { type: "String" })
  @refetchable(queryName: "dashboardPaginationQuery") {
    jobs(first: $count, after: $cursor, orderBy: [{ field: DESCRIPTION }])
      @connection(key: "dashboard_jobs") {
      totalCount
      edges {
        node {
          id
          ...dashboard_job
        }
      }
    }
  }
`;

graphql`
  fragment dashboard_job on Job {
    description
    status
    result
    schedule {
      timeEnded
    }
    client {
      hostname
    }
    backups(first: 1, orderBy: [{ field: TIME_STAMP, direction: DESC }]) {
      totalCount
      nodes {
        backupName
        timeStamp
        compressedSize
        metadata
      }
    }
  }
`;

graphql`
  query dashboardNodeQuery($id: ID!) {
    node(id: $id) {
      __typename
      ...dashboard_job @alias(as: "job")
      ...dashboard_refetched @alias(as: "refetched")
    }
  }
`;

// What @refetchable makes of a fragment on a type with an id: a query by way of node(id:).
graphql`
  fragment dashboard_refetched on Job @refetchable(queryName: "dashboardRefetchQuery") {
    version
  }
`;

graphql`
  mutation dashboardRenameMutation($input: UpdateJobInput!) {
    updateJob(input: $input) {
      job {
        id
        description
        version
      }
    }
  }
`;

graphql`
  mutation dashboardCreateMutation($input: CreateJobInput!, $connections: [ID!]!) {
    createJob(input: $input) {
      job @prependNode(connections: $connections, edgeTypeName: "JobEdge") {
        id
        ...dashboard_job
      }
    }
  }
`;

graphql`
  mutation dashboardDeleteMutation($input: DeleteInput!, $connections: [ID!]!) {
    deleteJob(input: $input) {
      deletedId @deleteEdge(connections: $connections) @deleteRecord
    }
  }
`;
